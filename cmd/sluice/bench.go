package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	yard "sluice/internal/bench"
)

type bench struct {
	List    bool     `help:"Name the scenarios, and measure nothing."`
	Only    []string `placeholder:"NAME,…" help:"Measure these scenarios. Default: all."`
	Smoke   bool     `help:"Measure tiny amounts of everything, to see that all works, and write nothing."`
	Rounds  int      `placeholder:"N" help:"Rounds of each contender. Default: as each scenario says."`
	Seconds float64  `placeholder:"N" help:"Length of a round. Default: as each scenario says."`
	Flood   int      `placeholder:"N" help:"Rejections of the scenario flood, which takes half a minute for every million or so. Default: ten million."`
	Rivals  string   `type:"existingfile" placeholder:"FILE" help:"The program of internal/bench/rivals, which has the limits, baselines and other carriers. Default: only Sluice is measured."`
	JSON    string   `name:"json" placeholder:"FILE" help:"Write the report there; - is standard output."`

	Docs string `placeholder:"DIR" help:"Write what was measured into benchmarks.json, benchmarks.md and benchmarks/ of that folder; what was not stays."`

	RedisURL    string `name:"redis-url" placeholder:"URL" help:"An empty Redis that nobody else uses. Default: private ones."`
	PostgresURL string `name:"postgres-url" placeholder:"URL" help:"A Postgres in which databases may be made. Default: a private one."`
}

func (bench) Help() string {
	return `It starts a private Redis (AOF, everysec) and Postgres (fsync on), and on them, each in a process of its own, Sluice and those that it is held against; loads them from one more process, by turns; and tells rates, latencies, what each process computed for one request, and ratios. Everything shares the machine, so figures of two machines, or of a machine that has other work, cannot be compared; ratios can.

It touches nothing outside of a temporary folder. The settings of other commands (SLUICE_…) have no part in it.

Exit status 1 when something that must hold did not: a contender died or answered what it should not, sold too much, or its points do not add up. A speed is never a failure.`
}

// Run is the command.
func (b *bench) Run(ctx context.Context) error {
	if b.List {
		out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
		for _, s := range yard.Scenarios {
			fmt.Fprintf(out, "%s\t%s\n", s.Name, s.Title)
		}
		return out.Flush()
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program itself, to run it as processes of a deployment: %w", err)
	}
	options := yard.Options{
		Only: b.Only, Smoke: b.Smoke, Rounds: b.Rounds, Each: time.Duration(b.Seconds * float64(time.Second)), Flood: b.Flood,
		Rivals: b.Rivals, Program: []string{self}, RedisURL: b.RedisURL, PostgresURL: b.PostgresURL, Progress: os.Stderr,
	}
	if err := options.Check(); err != nil {
		return usage{err}
	}
	report, err := yard.Measure(ctx, options)
	if err != nil {
		return err
	}
	return b.write(ctx, report)
}

func (b *bench) write(ctx context.Context, report yard.Report) error {
	if b.Smoke {
		return nil
	}
	if b.Docs != "" {
		if err := report.WriteDocs(ctx, b.Docs, b.Rivals); err != nil {
			return err
		}
	}
	switch b.JSON {
	case "":
		return nil
	case "-":
		return report.Write(os.Stdout)
	}
	file, err := os.Create(b.JSON)
	if err != nil {
		return err
	}
	return errors.Join(report.Write(file), file.Close())
}
