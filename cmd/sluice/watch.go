package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"sluice/internal/lookout"
	"sluice/internal/process"
)

// watched are the processes that an operator asks about.
type watched struct {
	Ops       []string `placeholder:"URL,…" help:"Operations ports of all processes, as http://host:port or host:port; comma-separated or repeated. Default: the one of SLUICE_OPS_LISTEN."`
	OpsListen string   `env:"SLUICE_OPS_LISTEN" default:"${ops_listen}" hidden:""`
}

const aboutWatched = `It asks /readyz and /metrics of every operations port it is given, needs no secret and changes nothing. What nobody who was asked knows is shown as unknown: of a deployment in several processes name all of them, at least one of each kind.`

// urls are the ports to ask.
func (w watched) urls() ([]string, error) {
	ports := w.Ops
	if len(ports) == 0 {
		host, port, err := net.SplitHostPort(w.OpsListen)
		if err != nil {
			return nil, usage{fmt.Errorf("SLUICE_OPS_LISTEN must be host:port or :port, is %q", w.OpsListen)}
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		ports = []string{net.JoinHostPort(host, port)}
	}
	urls, err := lookout.Targets(ports)
	if err != nil {
		return nil, usage{err}
	}
	return urls, nil
}

// opsClient asks operations ports, which are in the operator's own network: no proxy.
func opsClient() *http.Client { return &http.Client{Transport: &http.Transport{}} }

type top struct {
	watched

	Every time.Duration `default:"2s" placeholder:"TIME" help:"Time between two looks, 500ms to 1m. Default: ${default}."`
	Once  bool          `help:"Print one page, of what two looks tell, and end."`
	Plain bool          `help:"Print page after page without moving the cursor, as is done when the output is no terminal."`
}

func (top) Help() string {
	return aboutWatched + `

The page renews itself until Ctrl-C, and leaves the screen as it was. First comes what is wrong, in the words of the alerts; then rates and the time to a verdict of what was settled since the look before, the busiest sales, and the partitions, worst first, with the process that owns each. NO_COLOR is respected.`
}

// Run is the command.
func (t *top) Run(ctx context.Context) error {
	if t.Every < 500*time.Millisecond || t.Every > time.Minute {
		return usage{fmt.Errorf("--every must be between 500ms and 1m, is %s", t.Every)}
	}
	urls, err := t.urls()
	if err != nil {
		return err
	}
	terminal := process.IsTerminal(os.Stdout)
	return lookout.Top{
		Client: opsClient(), URLs: urls, Every: t.Every, Once: t.Once, Plain: t.Plain || !terminal,
		Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", Out: os.Stdout,
	}.Run(ctx)
}

type look struct {
	watched

	JSON bool          `name:"json" help:"Print the facts as one JSON object on standard output."`
	Over time.Duration `default:"1s" placeholder:"TIME" help:"Time between the two looks that rates come from, 100ms to 1m. Default: ${default}."`
}

func (look) Help() string {
	return aboutWatched + `

It looks twice and prints every check: ok, WRONG, or ? for what nobody who was asked knows. docs/operations.md describes the JSON object.

Exit status 0 when the deployment is healthy, 1 when it is not, or cannot be reached, or cannot be judged by those who were asked, 2 for wrong flags.`
}

// errNotHealthy is told by the checks.
var errNotHealthy = errors.New("the deployment is not healthy")

// Run is the command.
func (s *look) Run(ctx context.Context) error {
	if s.Over < 100*time.Millisecond || s.Over > time.Minute {
		return usage{fmt.Errorf("--over must be between 100ms and 1m, is %s", s.Over)}
	}
	urls, err := s.urls()
	if err != nil {
		return err
	}
	client := opsClient()
	before := lookout.Ask(ctx, client, urls)
	select {
	case <-time.After(s.Over):
	case <-ctx.Done():
		return ctx.Err()
	}
	facts := lookout.Look(before, lookout.Ask(ctx, client, urls))
	if s.JSON {
		err = json.NewEncoder(os.Stdout).Encode(facts)
	} else {
		err = facts.Report(os.Stdout)
	}
	switch {
	case err != nil:
		return err
	case facts.Status == lookout.Unknown:
		return fmt.Errorf("%w, as far as those who were asked can tell: name the ports of all processes with --ops", errNotHealthy)
	case facts.Status != lookout.Healthy:
		return errNotHealthy
	}
	return nil
}
