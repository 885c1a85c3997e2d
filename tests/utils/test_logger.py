import re

from maskrcnn_benchmark.utils.logger import setup_logger


def test_writes_the_same_lines_to_stdout_and_to_the_file(tmp_path, capsys):
    logger = setup_logger("test_logger_a", tmp_path / "out")
    logger.info("hello")
    text = (tmp_path / "out" / "log.txt").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ test_logger_a INFO: hello\n", text)
    assert capsys.readouterr().out == text


def test_a_second_call_does_not_double_the_lines(tmp_path, capsys):
    setup_logger("test_logger_b", tmp_path)
    setup_logger("test_logger_b", tmp_path).info("once")
    assert (tmp_path / "log.txt").read_text().count("once") == 1
    assert capsys.readouterr().out.count("once") == 1


def test_only_rank_0_writes(tmp_path, capsys):
    setup_logger("test_logger_c", tmp_path / "out", distributed_rank=1).error("hidden")
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr() == ("", "")
