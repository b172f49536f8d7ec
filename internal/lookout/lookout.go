// Package lookout is what an operator sees of a deployment from outside: it asks the
// operations ports of its processes, and nothing else. It needs no secret and changes
// nothing.
//
//	Ask ─▶ Round (/readyz and /metrics of each process, at one moment)
//	          │
//	          ├─ the round before ─▶ what has happened in between
//	          ▼
//	        Look ─▶ Facts ─▶ JSON (sluice status), Draw (sluice top)
//	                  └─▶ Checks: each ok, not ok, or unknown
//
// What nobody who was asked knows is unknown: a pointer that is nil, null in JSON, a
// question mark on the screen. It is never zero, and never good news.
package lookout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	neturl "net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const (
	patience  = 5 * time.Second // with one process; its readiness asks for two of them
	pageMost  = 16 << 20        // bytes of its metrics
	wrongMost = 64 << 10        // and of what is wrong
)

// Targets reads the addresses of operations ports: URLs, or host:port for short.
func Targets(words []string) (urls []string, err error) {
	for _, word := range words {
		text := strings.TrimSpace(word)
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := neturl.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%q is not the address of an operations port, like http://127.0.0.1:8081", word)
		}
		if url := strings.TrimRight(u.String(), "/"); !slices.Contains(urls, url) { // named twice, it would be counted twice
			urls = append(urls, url)
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("no operations port to ask")
	}
	return urls, nil
}

// Round is what all processes answered at one moment.
type Round struct {
	at      time.Time // by the clock of this machine
	answers []answer
}

// answer is what one process told of itself.
type answer struct {
	url    string
	fault  error     // it could not be asked: then the rest is nothing
	wrong  []string  // of /readyz; empty: it is ready
	clock  time.Time // its own, to the second
	series series
}

// Ask asks all processes at once.
func Ask(ctx context.Context, client *http.Client, urls []string) Round {
	r := Round{at: time.Now(), answers: make([]answer, len(urls))}
	var asking sync.WaitGroup
	for i, url := range urls {
		asking.Go(func() { r.answers[i] = ask(ctx, client, url) })
	}
	asking.Wait()
	return r
}

func ask(ctx context.Context, client *http.Client, url string) answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a := answer{url: url}
	var ready, metrics sync.WaitGroup
	var unready error
	ready.Go(func() { unready = a.readiness(ctx, client) })
	metrics.Go(func() { a.fault = a.metrics(ctx, client) })
	ready.Wait()
	metrics.Wait()
	if a.fault == nil {
		a.fault = unready
	}
	return a
}

// readiness asks for what is wrong.
func (a *answer) readiness(ctx context.Context, client *http.Client) error {
	return get(ctx, client, a.url+"/readyz", func(response *http.Response) error {
		if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
			return fmt.Errorf("/readyz answers %s", response.Status)
		}
		if err := json.NewDecoder(io.LimitReader(response.Body, wrongMost)).Decode(&a.wrong); err != nil {
			return errors.New("/readyz does not answer as Sluice does: is this an operations port?")
		}
		if response.StatusCode != http.StatusOK && len(a.wrong) == 0 {
			a.wrong = []string{"not ready"}
		}
		for i, text := range a.wrong {
			a.wrong[i] = plain(text)
		}
		return nil
	})
}

// metrics reads the registry.
func (a *answer) metrics(ctx context.Context, client *http.Client) error {
	return get(ctx, client, a.url+"/metrics", func(response *http.Response) error {
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("/metrics answers %s", response.Status)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, pageMost))
		if err != nil {
			return fmt.Errorf("/metrics cannot be read: %s", plain(err.Error()))
		}
		if a.clock, err = http.ParseTime(response.Header.Get("Date")); err != nil {
			a.clock = time.Now()
		}
		a.series = seriesOf(families)
		return nil
	})
}

func get(ctx context.Context, client *http.Client, url string, read func(*http.Response) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4, application/json")
	response, err := client.Do(request)
	if err != nil {
		var trip *neturl.Error
		if errors.As(err, &trip) { // which repeats the address
			err = trip.Err
		}
		return errors.New(plain(err.Error()))
	}
	defer response.Body.Close()
	return read(response)
}

// plain is a text that somebody else wrote, without what would move a terminal's cursor.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
