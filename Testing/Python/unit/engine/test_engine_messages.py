from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from VisualDICOMBrowserLib.domain import errors
from VisualDICOMBrowserLib.domain.errors import (
    BadData,
    Cancelled,
    InternalError,
    OperationRefused,
    PeerStalled,
    VisualDicomError,
)
from VisualDICOMBrowserLib.engine.messages import (
    MAX_LINE,
    ErrorDetail,
    Event,
    Goodbye,
    Hello,
    LineSplitter,
    MessageError,
    Request,
    Response,
    decode,
    encode,
)
from VisualDICOMBrowserLib.jobs.states import IllegalTransition, JobEvent, JobState

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
DETAILS = st.builds(ErrorDetail, st.text(), st.text(), st.booleans(), st.none() | st.integers(0, 0xFFFF))
MESSAGES = st.one_of(
    st.builds(Hello, st.integers(0), st.text(), st.text()),
    st.builds(Request, st.integers(0), st.text(), st.dictionaries(st.text(), JSON)),
    st.builds(Response, st.integers(0), JSON, st.none() | DETAILS),
    st.builds(Event, st.text(), st.text(), JSON),
    st.builds(Goodbye, st.text(), st.none() | DETAILS),
)
ERROR_CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@given(MESSAGES)
def test_every_message_survives_the_line(message):
    line = encode(message)
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert decode(line) == message
    assert decode(line.rstrip(b"\n")) == message


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_message_or_a_typed_error(line):
    try:
        message = decode(line)
    except MessageError:
        return
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_a_damaged_field_is_a_message_or_a_typed_error(message, data):
    values = json.loads(encode(message))
    values[data.draw(st.sampled_from(sorted(values)))] = data.draw(JSON)
    try:
        damaged = decode(json.dumps(values).encode())
    except MessageError:
        return
    assert decode(encode(damaged)) == damaged


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":["hello"]}',
        b'{"type":"shout"}',
        b'{"type":"request","id":1,"method":"echo"}',
        b'{"type":"request","id":1,"method":"echo","params":{},"more":1}',
        b'{"type":"request","id":true,"method":"echo","params":{}}',
        b'{"type":"request","id":"1","method":"echo","params":{}}',
        b'{"type":"request","id":1,"method":"echo","params":[]}',
        b'{"type":"event","subject":"s","name":"n","data":NaN}',
        b'{"type":"event","subject":"s","name":"n","data":\xff}',
        b'{"type":"event","subject":"s","name":"n","data":' + b"9" * 5000 + b"}",
        b'{"type":"response","id":1,"result":null,"error":{"kind":"BadData"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_exactly_right_is_refused(line):
    with pytest.raises(MessageError):
        decode(line)


@pytest.mark.parametrize("protocol", [0, 2, None, "1", True, 1.5])
def test_another_protocol_version_is_named_as_such(protocol):
    line = json.dumps({"type": "hello", "protocol": protocol, "from": "the future"}).encode()
    with pytest.raises(MessageError, match="another version of the protocol"):
        decode(line)


@pytest.mark.parametrize("value", [b"bytes", float("inf"), object()])
def test_what_json_does_not_have_is_not_sent(value):
    with pytest.raises(MessageError):
        encode(Event("subject", "name", value))


def test_lines_are_bounded_both_ways():
    with pytest.raises(MessageError, match="too long"):
        encode(Event("subject", "name", "x" * MAX_LINE))
    with pytest.raises(MessageError, match="too long"):
        decode(b" " * (MAX_LINE + 2))


@pytest.mark.parametrize("kind", ERROR_CLASSES)
@pytest.mark.parametrize("retryable", [True, False])
def test_each_error_comes_back_as_its_class(kind, retryable):
    error = kind("A sentence.", 0xA700) if kind is OperationRefused else kind("A sentence.")
    error.retryable = retryable
    back = decode(encode(Response(1, error=ErrorDetail.of(error)))).error.to_error()
    assert type(back) is kind
    assert (str(back), back.retryable) == ("A sentence.", retryable)
    assert getattr(back, "status", None) == getattr(error, "status", None)


def test_errors_defined_elsewhere_come_back_as_the_nearest_known_class():
    assert ErrorDetail.of(IllegalTransition(JobState.FAILED, JobEvent.WAKE)).kind == "InternalError"
    assert ErrorDetail.of(Cancelled()).kind == "Cancelled"


def test_a_foreign_error_keeps_its_text_to_itself():
    detail = ErrorDetail.of(ValueError("DOE^JANE is not a number"))
    assert type(detail.to_error()) is InternalError
    assert "DOE" not in detail.message


@pytest.mark.parametrize("kind", ["SystemExit", "annotations", ""])
def test_an_unknown_kind_of_error_is_internal(kind):
    assert type(ErrorDetail(kind, "Something.").to_error()) is InternalError


def test_the_classes_above_are_all_of_the_tree():
    assert {VisualDicomError, BadData, PeerStalled} <= set(ERROR_CLASSES)


@given(st.lists(st.binary().map(lambda part: part.replace(b"\n", b"")), max_size=6), st.integers(1, 9))
def test_lines_come_out_however_the_stream_is_cut(lines, size):
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    splitter = LineSplitter()
    found = [line for at in range(0, len(stream), size) for line in splitter.feed(stream[at : at + size])]
    assert found == lines


def test_a_line_that_never_ends_is_given_up():
    splitter = LineSplitter()
    assert splitter.feed(b"x" * MAX_LINE) == []
    with pytest.raises(MessageError):
        splitter.feed(b"x")
