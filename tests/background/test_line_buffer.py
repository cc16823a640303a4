import os

from hypothesis import given
from hypothesis import strategies as st

from lorasdk.background.line_buffer import LineBuffer, lines_of


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b""))), st.integers(1, 7))
def test_lines_come_out_whole_however_they_are_cut(lines, size):
    stream = b"".join(line + b"\n" for line in lines)
    buffer = LineBuffer()
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [line for chunk in chunks for line in buffer.lines(chunk)] == lines


def test_a_pipe_gives_its_lines_until_it_ends_and_nothing_of_half_a_line():
    reads, writes = os.pipe()
    os.write(writes, b"one\ntwo\nthr")
    os.close(writes)
    assert list(lines_of(reads)) == [b"one", b"two"]
    os.close(reads)
