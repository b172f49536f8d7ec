package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Load is what the generator is to do, in a process of its own: what makes the load must
// not be counted with what bears it.
type Load struct {
	Address     string   // host:port
	Journey     Journey  //
	Connections int      // kept alive
	Path        string   // of what is posted to
	Paths       []string // of what is read, in turn
	Tokens      []string // in turn; the same one for the same path when there are as many
	Body        string
	Key         string // before a number: no Idempotency-Key is sent twice; "": none is sent
	Expect      []int  // statuses that may be answered; another one ends everything
	Word        string // that must stand in what is read
	Poll        bool   // a verdict is asked for again and again, and not waited for

	// It ends after so many requests, or after so long; whatever is under way is waited
	// for, and counts.
	Count  int
	Length time.Duration

	// Rate makes it an open loop: so many requests come a second, at random moments,
	// whatever became of those before. 0: a closed one; each connection asks again as soon
	// as it is answered.
	Rate float64

	// Keep has the locations of all receipts answered, by the number of the request.
	Keep bool

	// Drain has every connection wait, after the load, until the last receipt that it got
	// is final.
	Drain bool
}

// Journey is what one request is.
type Journey string

// The journeys.
const (
	Read    Journey = "read"    // GET one of Paths
	Post    Journey = "post"    // POST to Path
	Verdict Journey = "verdict" // the same, and GET what Location names until it is no longer queued
)

// Loaded is what came of it.
type Loaded struct {
	N        int         // requests that were answered as they should be
	Seconds  float64     // from the first to the answer to the last
	Drained  float64     // seconds from the first until the last receipts were final; 0: not asked for
	Statuses map[int]int // how often each was answered
	Latency  Latency     // ms: of an open loop from the moment at which a request was to come
	Mean     float64     // ms
	Late     Latency     // ms: of an open loop, how late the generator itself was
	CPU      float64     // seconds that the generator computed meanwhile
	Kept     []string    // locations of receipts
	Wrong    string      // what was wrong first; then the rest says nothing
}

// Load runs the generator on a stage, and answers what came of it and what everybody
// computed meanwhile.
func (s *Stage) Load(ctx context.Context, l Load) (Loaded, map[string]time.Duration, error) {
	var told Loaded
	used, err := s.Spent(func() error {
		task, err := json.Marshal(l)
		if err != nil {
			return err
		}
		var out, complaints bytes.Buffer
		cmd := exec.CommandContext(ctx, s.house.Program[0], append(s.house.Program[1:len(s.house.Program):len(s.house.Program)], "generate")...)
		cmd.Env, cmd.SysProcAttr = plainEnv(), attributes()
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = stopBy
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(task), &out, &complaints
		if err := thread(cmd.Run); err != nil {
			return fmt.Errorf("the generator: %w: %s", err, bytes.TrimSpace(complaints.Bytes()))
		}
		if err := json.Unmarshal(out.Bytes(), &told); err != nil {
			return fmt.Errorf("the generator says %q: %w", out.Bytes(), err)
		}
		if told.Wrong != "" {
			return errors.New(told.Wrong)
		}
		return nil
	})
	if err != nil {
		return Loaded{}, nil, err
	}
	if told.CPU > 0 {
		used["generator"] = time.Duration(told.CPU * float64(time.Second))
	}
	return told, used, nil
}

// Round is what was loaded, as a round.
func (l Loaded) Round(used map[string]time.Duration) Round {
	n := float64(l.N)
	if n == 0 {
		return Round{}
	}
	return Round{Rate: n / l.Seconds, N: n, Seconds: l.Seconds, CPU: PerOne(used, n), Latency: &l.Latency}
}
