package settlement

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// wire is a connection to Postgres that reads along. It speaks just enough of the
// protocol (version 3) to know which statement every message belongs to, so that any
// of them can break for real: refused by the server itself, in the middle of a
// pipeline, or done with the connection gone before the reply.
type wire struct {
	net.Conn
	s          *saboteur
	started    bool
	statements map[string]string // prepared, by name
	bound      string            // the one that the next Execute runs
	reading    bool              // the transaction is a snapshot

	gone atomic.Bool // the driver gets nothing from it any more
	read sync.Mutex
}

// dial is the way of a process to Postgres.
func (s *saboteur) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.isDead() {
		return nil, errDead
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn, s: s, statements: map[string]string{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wires[w] = true
	return w, nil
}

// Close ends it.
func (w *wire) Close() error {
	w.s.mu.Lock()
	delete(w.s.wires, w)
	w.s.mu.Unlock()
	return w.Conn.Close()
}

// Read gives nothing more once the connection is gone.
func (w *wire) Read(b []byte) (int, error) {
	w.read.Lock()
	defer w.read.Unlock()
	if w.gone.Load() || w.s.isDead() {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := w.Conn.Read(b)
	if w.gone.Load() {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// Write sends whole messages, as the driver hands them over: all that travels
// together at once.
func (w *wire) Write(b []byte) (int, error) {
	switch {
	case w.gone.Load(), w.s.isDead():
		return 0, errDead
	case !w.started: // the one message without a kind
		w.started = true
		return w.Conn.Write(b)
	}
	out, ran, bind, named := make([]byte, 0, len(b)), 0, -1, -1
	for rest := b; len(rest) > 0; {
		if len(rest) < 5 || len(rest) < 1+int(binary.BigEndian.Uint32(rest[1:])) {
			return 0, fmt.Errorf("the driver sent half a message: %q", rest)
		}
		size := 1 + int(binary.BigEndian.Uint32(rest[1:]))
		message := rest[:size]
		rest = rest[size:]
		var statement string
		switch body := message[5:]; message[0] {
		case 'P': // Parse: name, statement, …
			name, body := text(body)
			sql, _ := text(body)
			changed, err := w.s.rewritten(sql)
			if err != nil {
				return 0, err
			}
			w.statements[name] = sql
			message = replaced(message, len(name)+1, len(sql), changed)
		case 'B': // Bind: portal, name, …
			portal, body := text(body)
			w.bound, _ = text(body)
			bind, named = len(out), len(out)+5+len(portal)+1
		case 'E': // Execute
			statement = w.statements[w.bound]
		case 'Q': // a simple query
			statement, _ = text(body)
			bind, named = len(out), len(out)+5
		}
		at := len(out)
		out = append(out, message...)
		if statement == "" {
			continue
		}
		ran++
		broken := w.s.meet(w.effect(statement))
		if broken == nil {
			continue
		}
		switch broken.manner {
		case refused: // there is no such statement
			out = misnamed(out, bind, named)
		case lost, diesAfter:
			if message[0] == 'E' {
				out = append(out, 'H', 0, 0, 0, 4) // Flush: answer now
			}
			w.await(out, ran)
			if broken.manner == diesAfter {
				w.s.die()
			}
			return len(b), nil
		case diesBefore: // what was sent together with it may have got there
			_, _ = w.Conn.Write(out[:at])
			w.s.die()
			return 0, errDead
		case stalls:
			broken.aside()
		}
	}
	if _, err := w.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// misnamed gives the statement that is named there, by the message that begins at bind,
// a name that nobody has given to any. One without a name is a byte longer then.
func misnamed(out []byte, bind, named int) []byte {
	if out[named] != 0 {
		out[named] = 'x'
		return out
	}
	binary.BigEndian.PutUint32(out[bind+1:], binary.BigEndian.Uint32(out[bind+1:])+1)
	return slices.Insert(out, named, 'x')
}

// effect answers what a statement does here.
func (w *wire) effect(statement string) string {
	statement = strings.Join(strings.Fields(statement), " ")
	switch {
	case strings.HasPrefix(statement, "begin isolation"):
		w.reading = true
	case statement == "begin":
		w.reading = false
	case statement == "commit" && w.reading:
		return "commit a snapshot"
	}
	return effectOf(statement)
}

// await sends, reads until so many statements have run, or one was refused, and ends
// the connection. While a write takes long the driver reads beside it: it must not get
// what is to be lost.
func (w *wire) await(out []byte, ran int) {
	defer w.Conn.Close()
	w.gone.Store(true)
	_ = w.Conn.SetReadDeadline(time.Unix(1, 0)) // ends such a read; there was nothing to come yet
	w.read.Lock()
	defer w.read.Unlock()
	_ = w.Conn.SetDeadline(time.Now().Add(patience))
	if _, err := w.Conn.Write(out); err != nil {
		return
	}
	head := make([]byte, 5)
	for ran > 0 {
		if _, err := io.ReadFull(w.Conn, head); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, w.Conn, int64(binary.BigEndian.Uint32(head[1:]))-4); err != nil {
			return
		}
		switch head[0] {
		case 'C', 'I', 's': // done, nothing to do, or done in part
			ran--
		case 'E':
			return
		}
	}
}

// text cuts a string with its NUL from the beginning of a message.
func text(body []byte) (string, []byte) {
	before, after, _ := bytes.Cut(body, []byte{0})
	return string(before), after
}

// replaced is a message with another text in it.
func replaced(message []byte, at, old int, text string) []byte {
	at += 5
	longer := append(append(append([]byte{}, message[:at]...), text...), message[at+old:]...)
	binary.BigEndian.PutUint32(longer[1:], uint32(len(longer)-1))
	return longer
}

// rewritten is a statement as this process believes it to be. Its spaces do not
// count.
func (s *saboteur) rewritten(statement string) (string, error) {
	for _, r := range s.rewrites {
		plain := strings.Join(strings.Fields(statement), " ")
		if strings.HasSuffix(r.in, ".lua") || !strings.Contains(plain, r.in) {
			continue
		}
		if strings.Count(plain, r.from) != 1 {
			return "", fmt.Errorf("%s has not one %q", r.in, r.from)
		}
		statement = strings.Replace(plain, r.from, r.to, 1)
	}
	return statement, nil
}
