package client

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

// turnout is an API of streams: each connection is played by the next of its acts,
// the last of which is played for ever.
type turnout struct {
	mu    sync.Mutex
	next  int
	acts  []func(*act)
	ended int // connections that are over
}

// act is one connection.
type act struct {
	http.ResponseWriter
	r *http.Request
}

func (t *turnout) api(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	play := t.acts[min(t.next, len(t.acts)-1)]
	t.next++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.ended++
		t.mu.Unlock()
	}()
	play(&act{w, r})
}

func (t *turnout) over() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

// open begins a stream as the API does.
func (a *act) open() {
	a.Header().Set("Content-Type", "text/event-stream")
	a.Header().Set("Connection", "close")
	a.say("retry: 2000\n\n")
}

func (a *act) say(text string) {
	_, _ = io.WriteString(a, text)
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

func (a *act) tell(name, id string, data any) {
	text, _ := json.Marshal(data)
	if id != "" {
		id = "id: " + id + "\n"
	}
	a.say("event: " + name + "\n" + id + "data: " + string(text) + "\n\n")
}

func (a *act) end(reason string) { a.tell("end", "", map[string]string{"reason": reason}) }

// beat lets the stream live for d.
func (a *act) beat(d time.Duration) {
	for ; d > 0; d -= 15 * time.Second {
		time.Sleep(min(d, 15*time.Second))
		a.say(": beat\n\n")
	}
}

// away waits until the client has gone.
func (a *act) away() { <-a.r.Context().Done() }

func (a *act) lastID() string { return a.r.Header.Get("Last-Event-ID") }
