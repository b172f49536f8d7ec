package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

const (
	eventMost = 1 << 20 // bytes of a line, and of the data of an event; the longest true one is a sale with its description
	idMost    = 1 << 10 // bytes of an ID, which has to fit into a header
)

var errEventTooLong = errors.New("an event is longer than " + strconv.Itoa(eventMost) + " bytes")

// event is one of a stream of server-sent events.
type event struct {
	name string // "message" when the stream does not say
	data []byte
}

// eventReader reads a stream of server-sent events (WHATWG HTML, section 9.2.6), with
// two differences: what is too long ends it, and an ID outlives its connection.
type eventReader struct {
	in     *bufio.Reader
	lastID string        // of the last event read, or before the first of the connection before: where to go on
	retry  time.Duration // to pause before the next connection; 0: not said
	alive  bool          // an event or a comment has arrived

	begun bool   // the first line has been read
	cr    bool   // the last line ended with CR: an LF that follows belongs to it
	text  []byte // of the line
	id    string // of the event that is being read
}

func newEventReader(in io.Reader, lastID string) *eventReader {
	return &eventReader{in: bufio.NewReader(in), lastID: lastID, id: lastID}
}

// next reads one event. What the stream breaks off in the middle of is no event.
func (r *eventReader) next() (event, error) {
	var name string
	var data []byte
	for {
		line, err := r.line()
		if err != nil {
			return event{}, err
		}
		if len(line) == 0 {
			r.lastID = r.id
			if len(data) == 0 {
				name = ""
				continue
			}
			r.alive = true
			if name == "" {
				name = "message"
			}
			return event{name, data[:len(data)-1]}, nil
		}
		field, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimPrefix(value, []byte{' '})
		switch string(field) {
		case "": // a comment
			r.alive = true
		case "event":
			name = string(value)
		case "data":
			if len(data)+len(value) >= eventMost {
				return event{}, errEventTooLong
			}
			data = append(append(data, value...), '\n')
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.id = sendable(string(value))
			}
		case "retry":
			if ms, ok := parseDigits(string(value)); ok {
				r.retry = milliseconds(ms)
			}
		}
	}
}

// line reads a line, which ends with CR, LF or both. It is good until the next.
func (r *eventReader) line() ([]byte, error) {
	for r.text = r.text[:0]; ; {
		b, err := r.in.ReadByte()
		if err != nil {
			return nil, err
		}
		after := r.cr
		if r.cr = b == '\r'; b == '\n' && after {
			continue
		}
		if b == '\r' || b == '\n' {
			break
		}
		if len(r.text) >= eventMost {
			return nil, errEventTooLong
		}
		r.text = append(r.text, b)
	}
	line := r.text
	if !r.begun {
		r.begun = true
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	}
	return line, nil
}

// sendable is id, or "" when no header can hold it: the stream begins anew then.
func sendable(id string) string {
	if len(id) > idMost || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return id
}

// parseDigits reads a number that is nothing but digits, as big as it gets.
func parseDigits(s string) (n int64, ok bool) {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		return 0, false
	}
	n, _ = strconv.ParseInt(s, 10, 64) // beyond the range: its end
	return n, true
}
