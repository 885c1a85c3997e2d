"""From images and videos to detections, pictures and files."""
