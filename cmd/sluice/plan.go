package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"sluice/docs"
	planner "sluice/internal/plan"
)

var errDoesNotFit = errors.New("the crowd does not fit, however many processes there are: what says so is printed above")

type plan struct {
	planner.Workload `embed:"" group:"What a crowd asks for"`
	planner.Machines `embed:"" group:"What it runs on"`

	File string `name:"costs" type:"existingfile" placeholder:"FILE" group:"How it is counted" help:"Costs that replace the measured ones: a JSON object of names and µs or bytes; --show-costs names them."`

	Requests int     `default:"500000" placeholder:"N" group:"How it is counted" help:"Requests to simulate, at most; 0: simulate nothing. Default: ${default}."`
	Seed     uint64  `default:"1" placeholder:"N" group:"How it is counted" help:"Of the simulated crowd. Default: ${default}."`
	Lose     string  `placeholder:"WHAT" group:"How it is counted" help:"What dies a third into the simulated peak: master (the one of the hottest sale), consumer or postgres."`
	For      float64 `default:"5" placeholder:"SECONDS" group:"How it is counted" help:"How long until that is back, or another one has taken over. Default: ${default}."`

	ShowCosts bool `help:"Show what it counts with, and who measured it."`
	Prove     bool `help:"Simulate the machine of the benchmarks, and hold that against what was measured on it."`
	JSON      bool `name:"json" help:"Print JSON."`
}

func (plan) Help() string {
	return `It says how many processes, partitions, masters and connections a crowd needs, what breaks first and at which load, and simulates the deployment that comes of it: how long people wait, how long the queue becomes, how soon it is drained, and what it means when something dies meanwhile.

It asks no server. It counts with what "make bench" has measured (docs/benchmarks.json); docs/scaling.md says how far that can be trusted, and sluice plan --prove shows it. The same flags give the same plan.

Exit status 1 when the crowd does not fit, however many processes there are.`
}

// Run is the command.
func (p *plan) Run(context.Context) error {
	if p.Prove {
		proofs, err := planner.Prove(docs.Benchmarks)
		if err != nil {
			return err
		}
		return planner.WriteProofs(os.Stdout, proofs, p.JSON)
	}
	options := planner.Options{Workload: p.Workload, Machines: p.Machines, Seed: p.Seed, Requests: p.Requests}
	if p.Lose != "" {
		options.Loss = planner.Loss{What: p.Lose, Seconds: p.For}
	}
	if err := options.Check(); err != nil {
		return usage{err}
	}
	if p.File != "" {
		measured, err := planner.Measured(docs.Benchmarks)
		if err != nil {
			return err
		}
		file, err := os.Open(p.File)
		if err != nil {
			return err
		}
		defer file.Close()
		if options.Costs, err = measured.Over(file, p.File); err != nil {
			return usage{fmt.Errorf("%s: %w", p.File, err)}
		}
	}
	report, err := planner.Make(options)
	if err != nil {
		return err
	}
	write := report.Text
	switch {
	case p.JSON:
		write = report.JSON
	case p.ShowCosts:
		write = report.CostsText
	}
	if err := write(os.Stdout); err != nil {
		return err
	}
	if len(report.Complaints) > 0 && !p.ShowCosts {
		return errDoesNotFit
	}
	return nil
}
