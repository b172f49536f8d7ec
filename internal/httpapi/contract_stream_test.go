package httpapi

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var retryLine = regexp.MustCompile(`^retry: (\d{1,5})$`)

// judgeStream holds what was read of a stream of events against the document: when to
// come back, first of all; then beats and events, each of which is one that path has.
// What comes after the last empty line was not sent to its end.
func (l *contract) judgeStream(path, text string) (wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	blocks := strings.Split(text, "\n\n")
	ended := false
	for i, block := range blocks[:len(blocks)-1] {
		event, data, id := "", "", ""
		for j, line := range strings.Split(block, "\n") {
			found := retryLine.FindStringSubmatch(line)
			if (i == 0 && j == 0) != (found != nil) {
				complain("line %d of block %d is %q, and the first one tells when to come back", j, i, line)
			}
			name, value, _ := strings.Cut(line, ": ")
			switch {
			case found != nil:
				if ms, _ := strconv.Atoi(found[1]); ms < 1500 || ms > 3000 {
					complain("come back after %d ms", ms)
				}
			case line == ": beat", line == "" && i == 0:
			case name == "event" && event == "" && value != "":
				event = value
			case name == "data" && data == "" && value != "":
				data = value
			case name == "id" && id == "" && value != "":
				id = value
			default:
				complain("%q has no place in %q", line, block)
			}
		}
		if ended {
			complain("%q comes after the end", block)
		}
		if event != "" || data != "" {
			wrong = append(wrong, l.judgeEvent(path, event, data)...)
			if ended = event == "end"; !ended && event != "reset" && id == "" {
				complain("%q has no id", block)
			}
		}
	}
	return wrong
}

// lawfulStream holds what was read of the stream of events that path answers against
// the document.
func lawfulStream(t testing.TB, path, text string) {
	t.Helper()
	l, err := law()
	if err != nil {
		t.Error(err)
		return
	}
	for _, wrong := range l.judgeStream(path, text) {
		t.Errorf("the document says otherwise: %s", wrong)
	}
}

func (l *contract) judgeEvent(path, event, data string) []string {
	pattern, o := l.operation(http.MethodGet, path)
	if o == nil || o.Extensions["x-events"] == nil {
		return []string{path + " is no stream of events"}
	}
	events, _ := o.Extensions["x-events"].(map[string]any)
	if events[event] == nil {
		return []string{fmt.Sprintf("%s has no event %q", path, event)}
	}
	return l.against("#/paths/"+escaped(pattern)+"/get/x-events/"+escaped(event), data)
}

// TestStreamsAreJudged is the known-bad twin of lawfulStream.
func TestStreamsAreJudged(t *testing.T) {
	t.Parallel()
	l := lawOf(t)
	const (
		path    = "/v1/receipts/0194f3a2-7c1e-7d35-9b4a-5f0c8e2d6a11/events"
		receipt = `{"receipt":"0194f3a2-7c1e-7d35-9b4a-5f0c8e2d6a11","verb":"bid","sale":7,"status":"confirmed","quantity":2,"unit_price":9,"amount":18,"durability":"settled","requested_at":"2030-01-31T18:00:00.125Z"}`
		first   = "retry: 2140\n\n"
		told    = "id: 4\nevent: receipt\ndata: " + receipt + "\n\n"
		end     = "event: end\ndata: {\"reason\":\"final\"}\n\n"
	)
	for _, good := range []string{"", first, first + told, first + ": beat\n\n" + told + ": beat\n\n" + end, first + told + "id: 5\neve", "retry: 1500\n" + told} {
		lawfulStream(t, path, good)
	}
	lawfulStream(t, "/v1/me/receipts/events", first+"event: reset\ndata: {}\n\n"+told)
	for _, bad := range []string{
		told, "retry: 900\n\n", "retry: 3001\n\n", first + first, first + end + told, first + strings.Replace(told, "id: 4\n", "", 1),
		first + strings.Replace(told, "event: receipt", "event: sale", 1), first + strings.Replace(told, "event: receipt\n", "", 1),
		first + strings.Replace(told, `"sale":7`, `"sale":7,"shard":1`, 1), first + strings.Replace(told, "settled", "some day", 1),
		first + ": ping\n\n", first + "event: end\ndata: {\"reason\":\"tired\"}\n\n", first + "event: end\n\n", first + "event: reset\ndata: {}\n\n", first + "data: 1\ndata: 2\n\n",
	} {
		if len(l.judgeStream(path, bad)) == 0 {
			t.Errorf("%q: nobody complains", bad)
		}
	}
	if len(l.judgeStream("/v1/receipts/0194f3a2-7c1e-7d35-9b4a-5f0c8e2d6a11", first+told)) == 0 || len(l.judgeEvent("/v1/me/receipts/events", "reset", `{"all":true}`)) == 0 {
		t.Error("what is no stream, or a reset with fields, is taken")
	}
}
