package client

import (
	"net/http"
	"testing"
	"time"
)

// TestLostDrop: who drops a letter and loses the answer has dropped it; who never sent it
// before is told that there is none.
func TestLostDrop(t *testing.T) {
	for name, test := range map[string]struct {
		lose int
		want Code
	}{"lost": {1, ""}, "never": {0, CodeUnknownLetter}} {
		lost := 0
		perform(t, func(w http.ResponseWriter, r *http.Request) {
			if lost++; lost <= test.lose {
				panic(http.ErrAbortHandler)
			}
			say(w, http.StatusNotFound, map[string]any{"code": CodeUnknownLetter})
		}, func(s *stage, c *Client) {
			if err := c.DropDeadLetter(s.Context(), "3-1-0"); CodeOf(err) != test.want || (err == nil) != (test.want == "") {
				s.Errorf("%s: %v", name, err)
			}
		})
	}
}

// TestLongAudit: an audit may take longer than any other call, and is asked for once.
func TestLongAudit(t *testing.T) {
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(29 * time.Second)
		say(w, http.StatusOK, map[string]any{"verdict": "ok", "took_ms": 29_000})
	}, func(s *stage, c *Client) {
		report, err := c.Audit(s.Context(), 7)
		if err != nil || report.Verdict != VerdictOK || report.Took != 29*time.Second || len(s.seen) != 1 {
			s.Errorf("%+v, %v, asked %d times", report, err, len(s.seen))
		}
	})
	perform(t, func(w http.ResponseWriter, r *http.Request) {
		say(w, http.StatusServiceUnavailable, map[string]any{"code": CodeUnavailable})
	}, func(s *stage, c *Client) {
		if _, err := c.Audit(s.Context(), 0); CodeOf(err) != CodeUnavailable || len(s.seen) != 1 {
			s.Errorf("%v, asked %d times", err, len(s.seen))
		}
	})
}
