package process

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// asker asks an API of a Process as a client does, and keeps what it was told.
type asker struct {
	t    *testing.T
	url  string
	said func(request *http.Request, body string, answer map[string]any) // may be nil
}

// serving runs all of a Process until stop is called or the test ends.
func serving(t *testing.T, c Config, log zerolog.Logger) (a *asker, p *Process, stop func()) {
	t.Helper()
	p, err := Open(t.Context(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	api, ops := listener(t), listener(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx, api, ops) }()
	stopped := false
	stop = func() {
		t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return &asker{t: t, url: "http://" + api.Addr().String()}, p, stop
}

// ask sends one request, headers as "Name: value".
func (a *asker) ask(method, path, token, body string, headers ...string) (status int, answer map[string]any) {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Close = true // or a server that stops waits for it
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	if a.said != nil {
		a.said(request, body, answer)
	}
	return response.StatusCode, answer
}

// wants asks and checks the status, and the code where it is a refusal.
func (a *asker) wants(status int, code, method, path, token, body string, headers ...string) map[string]any {
	a.t.Helper()
	got, answer := a.ask(method, path, token, body, headers...)
	if told, _ := answer["code"].(string); got != status || told != code {
		a.t.Fatalf("%s %s: %d %v, want %d %s", method, path, got, answer, status, code)
	}
	return answer
}

func word(answer map[string]any, name string) string {
	text, _ := answer[name].(string)
	return text
}
