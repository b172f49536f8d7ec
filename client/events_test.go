package client

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// heardOf reads a stream to its end.
func heardOf(in io.Reader, lastID string) (events []string, r *eventReader, err error) {
	r = newEventReader(in, lastID)
	for {
		e, err := r.next()
		if err != nil {
			return events, r, err
		}
		events = append(events, fmt.Sprintf("%s %s=%q", e.name, r.lastID, e.data))
	}
}

// TestEvents: the examples of the standard, and what its rules say beyond them.
func TestEvents(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		want   []string
		lastID string
		retry  time.Duration
	}{
		"one line":               {"data: a\n\n", []string{`message ="a"`}, "", 0},
		"three lines":            {"data: YHOO\ndata: +2\ndata: 10\n\n", []string{`message ="YHOO\n+2\n10"`}, "", 0},
		"four blocks":            {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", []string{`message 1="first event"`, `message ="second event"`, `message =" third event"`}, "", 0},
		"empty data":             {"data\n\ndata\ndata\n\ndata:", []string{`message =""`, `message ="\n"`}, "", 0},
		"with and without blank": {"data:test\n\ndata: test\n\n", []string{`message ="test"`, `message ="test"`}, "", 0},
		"names":                  {"event: add\ndata: 73\n\nevent:\ndata: 1\n\ndata: 2\n\n", []string{`add ="73"`, `message ="1"`, `message ="2"`}, "", 0},
		"a name without data":    {"event: add\n\ndata: x\n\n", []string{`message ="x"`}, "", 0},
		"CR":                     {"data: a\rdata: b\r\rdata: c\r\r", []string{`message ="a\nb"`, `message ="c"`}, "", 0},
		"CRLF":                   {"data: a\r\ndata: b\r\n\r\n", []string{`message ="a\nb"`}, "", 0},
		"all of them":            {"data: a\rdata: b\r\ndata: c\n\r\ndata: d\n\r", []string{`message ="a\nb\nc"`, `message ="d"`}, "", 0},
		"BOM":                    {"\uFEFFdata: a\n\n\uFEFFdata: b\n\n", []string{`message ="a"`}, "", 0},
		"two BOMs":               {"\uFEFF\uFEFFdata: a\n\n", nil, "", 0},
		"IDs last":               {"id: 7\ndata: a\n\ndata: b\n\n", []string{`message 7="a"`, `message 7="b"`}, "7", 0},
		"ID alone":               {"id: 7\n\n", nil, "7", 0},
		"ID of no event":         {"id: 7\ndata: a\n", nil, "", 0},
		"ID with NUL":            {"id: 7\n\nid: 8\x00\ndata: a\n\n", []string{`message 7="a"`}, "7", 0},
		"ID no header holds":     {"id: 7\n\nid: \x018\ndata: a\n\n", []string{`message ="a"`}, "", 0},
		"ID too long":            {"id: " + strings.Repeat("7", idMost+1) + "\n\n", nil, "", 0},
		"retry":                  {"retry: 1700\n\n", nil, "", 1700 * time.Millisecond},
		"retry at once":          {"retry: 1700", nil, "", 0},
		"retry nonsense":         {"retry: 1\nretry: -5\nretry: 1e3\nretry: 7s\nretry\n", nil, "", time.Millisecond},
		"retry for ever":         {"retry: 99999999999999999999\n", nil, "", 9223372036854 * time.Millisecond},
		"unknown fields":         {"dat: a\ndata2: b\n data: c\nDATA: d\ndata: e\n\n", []string{`message ="e"`}, "", 0},
		"colons":                 {"data:a:b\ndata::c\n\n", []string{`message ="a:b\n:c"`}, "", 0},
		"broken off":             {"data: a\n\ndata: b\nid: 9\n", []string{`message ="a"`}, "", 0},
		"nothing":                {"", nil, "", 0},
	} {
		for way, in := range map[string]io.Reader{"at once": strings.NewReader(test.text), "byte by byte": iotest.OneByteReader(strings.NewReader(test.text))} {
			got, r, err := heardOf(in, "")
			if err != io.EOF || !reflect.DeepEqual(got, test.want) || r.lastID != test.lastID || r.retry != test.retry {
				t.Errorf("%s, %s: %q, last %q, retry %s, %v", name, way, got, r.lastID, r.retry, err)
			}
		}
	}
}

// TestEventsAtOnce: an event is there as soon as its last line is, however that ends.
func TestEventsAtOnce(t *testing.T) {
	for _, text := range []string{"data: a\n\n", "data: a\r\r", "data: a\r\n\r\n", "data: a\r\n\r"} {
		in, out := io.Pipe()
		wrote := make(chan error, 1)
		go func() { _, err := io.WriteString(out, text); wrote <- err }()
		if e, err := newEventReader(in, "").next(); err != nil || string(e.data) != "a" { // the pipe stays open: this waits for nothing more
			t.Errorf("%q: %q, %v", text, e.data, err)
		}
		in.Close()
		<-wrote
	}
}

// TestEventsGoOn: an ID outlives its connection, whatever the next one brings.
func TestEventsGoOn(t *testing.T) {
	if got, r, _ := heardOf(strings.NewReader("data: a\n\nid:\n\n"), "7"); len(got) != 1 || got[0] != `message 7="a"` || r.lastID != "" {
		t.Errorf("%q, then %q", got, r.lastID)
	}
}

// TestEventsAreBounded: nobody fills our memory with an event.
func TestEventsAreBounded(t *testing.T) {
	for name, part := range map[string]string{"a line": "x", "a comment": ":", "many lines": "data: " + strings.Repeat("x", 1000) + "\n", "empty lines of data": "data\n"} {
		endless := &endless{part: part}
		if _, _, err := heardOf(endless, ""); !errors.Is(err, errEventTooLong) || endless.given > 8*eventMost {
			t.Errorf("%s: %v after %d bytes", name, err, endless.given)
		}
	}
	whole := strings.Repeat("x", eventMost-10)
	if got, _, err := heardOf(strings.NewReader("data: "+whole+"\n\n"), ""); err != io.EOF || len(got) != 1 || !strings.Contains(got[0], whole) {
		t.Errorf("%d events, %v", len(got), err)
	}
}

// endless says the same for ever.
type endless struct {
	part  string
	given int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		p[n] = e.part[e.given%len(e.part)]
		n++
		e.given++
	}
	return n, nil
}

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

// plainly is a second telling of the standard's rules, on the whole text at once.
func plainly(text string) (events []string, lastID string) {
	text = strings.TrimPrefix(text, "\uFEFF")
	ends := lineEnd.FindAllStringIndex(text, -1)
	var name, data, id string
	from := 0
	for _, end := range ends {
		line := text[from:end[0]]
		from = end[1]
		if line == "" {
			lastID = id
			if data != "" {
				if name == "" {
					name = "message"
				}
				events = append(events, fmt.Sprintf("%s %s=%q", name, lastID, strings.TrimSuffix(data, "\n")))
			}
			name, data = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "data":
			data += value + "\n"
		case "id":
			if !strings.Contains(value, "\x00") {
				id = sendable(value)
			}
		}
	}
	return events, lastID
}

// FuzzEvents: however a stream is cut, it says what the standard says it does, and its
// last ID fits into a header.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		"retry: 1700\n\nid: 1\nevent: receipt\ndata: {\"receipt\":\"r\",\ndata: \"status\":\"queued\"}\n\n: beat\n\nevent: end\ndata: {\"reason\":\"final\"}\n\n",
		"\uFEFFdata: a\r\r\ndata:b\n\n", "data\n\ndata\ndata\n\ndata:", "id\n\nid: a\x00b\ndata: x\n\n", ":\n\n", "\r\n\r\n\n\r", "data:  x\r", "event: a\nevent\ndata: y\n\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) >= eventMost {
			return
		}
		want, lastID := plainly(text)
		for _, in := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.HalfReader(strings.NewReader(text))} {
			got, r, err := heardOf(in, "")
			if err != io.EOF || !reflect.DeepEqual(got, want) || r.lastID != lastID || r.retry < 0 {
				t.Fatalf("%q is %q, last %q, %v, not %q, last %q", text, got, r.lastID, err, want, lastID)
			}
			if strings.ContainsAny(r.lastID, "\r\n\x00") || len(r.lastID) > idMost {
				t.Errorf("the ID %q", r.lastID)
			}
		}
	})
}
