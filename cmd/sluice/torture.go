package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"sluice/internal/process"
	rack "sluice/internal/torture"
)

type torture struct {
	Minutes float64 `default:"3" placeholder:"N" help:"How long things go on and break, up to 60. Default: ${default}."`
	Seconds float64 `placeholder:"N" help:"The same in seconds, 5 or more; wins over --minutes."`
	Seed    uint64  `placeholder:"N" help:"Decides the faults and what every buyer means to do. Default: a new one each time, which is printed."`
	Buyers  int     `default:"64" placeholder:"N" help:"How many buyers ask at once. Default: ${default}."`
	Keep    bool    `help:"Keep the folder, with everybody's logs and the clients' history, also when nothing is wrong."`
	JSON    bool    `name:"json" help:"Print the report as one JSON object, and nothing else, on standard output."`
}

func (torture) Help() string {
	return `It starts two APIs, three consumers and two schedulers as processes of their own, over a private redis-server and Postgres in a temporary folder. Buyers ask for everything that the four kinds of sales offer, repeat themselves under the same Idempotency-Key, and write down all they are told. Meanwhile processes are killed (SIGKILL) and started again, consumers stopped and continued (SIGSTOP, SIGCONT), Redis and Postgres killed and restarted on their data. Then everything is healed, every receipt read to its end and once more, and the record audited.

It touches nothing outside of its folder, which is kept when something is wrong: with the log of every process and the clients' history. The settings of other commands (SLUICE_…) have no part in it.

Exit status 1 when a request got no answer or no outcome, two receipts or a lost one; when a status went back, or an outcome that was shown changed; when anything is oversold or out of order, the audit finds something broken, or a process ended by itself without need.`
}

var errWronged = errors.New("somebody was wronged: see the report")

// Run is the command.
func (t *torture) Run(ctx context.Context) error {
	options := rack.Options{
		Length: time.Duration(t.Minutes * float64(time.Minute)), Seed: t.Seed, Buyers: t.Buyers, Keep: t.Keep,
		Progress: os.Stderr, Terminal: process.IsTerminal(os.Stderr),
	}
	if t.Seconds != 0 {
		options.Length = time.Duration(t.Seconds * float64(time.Second))
	}
	for options.Seed == 0 {
		options.Seed = rand.Uint64N(1_000_000)
	}
	if err := options.Check(); err != nil {
		return usage{err}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program itself, to run it as workers: %w", err)
	}
	options.Program = []string{self, "torture-worker"}
	report, err := rack.Run(ctx, options)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted before the report")
	}
	if err != nil {
		return err
	}
	if t.JSON {
		err = json.NewEncoder(os.Stdout).Encode(report)
	} else {
		err = report.Table(os.Stdout)
	}
	if err == nil && !report.Clean() {
		return errWronged
	}
	return err
}
