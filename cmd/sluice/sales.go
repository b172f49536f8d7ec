package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"sluice/internal/process"
)

type sales struct {
	List    listSales   `cmd:"" set:"log_level=warn" help:"List the sales that live, and those that are suspended."`
	Suspend suspendSale `cmd:"" set:"log_level=warn" help:"Have a sale sell nothing until it is resumed."`
	Resume  resumeSale  `cmd:"" set:"log_level=warn" help:"Audit a suspended sale, and have it sell on."`
}

const aboutSuspension = `A suspended sale refuses whoever asks for something of it ("suspended"). What people have of it they can pay, cancel or have refunded; its holds end and it closes at their time; its line stands still until it is resumed, and is served then; its seller is not paid meanwhile. The scheduler suspends by itself a sale that its audit finds broken twice.`

// settleMost is how long these commands wait for a consumer.
const settleMost = 15 * time.Second

// salesOf is what these commands have in common.
type salesOf struct {
	process.Config `embed:""`
}

func (s *salesOf) open(ctx context.Context) (*house, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	return open(ctx, s.Config, s.Logger(os.Stderr), false)
}

type listSales struct {
	salesOf

	Suspended bool `help:"Only those that are suspended."`
	JSON      bool `name:"json" help:"Print them as one JSON list on standard output."`
}

func (listSales) Help() string { return aboutSuspension }

// Run is the command.
func (s *listSales) Run(ctx context.Context) (err error) {
	h, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	live, err := h.Audit.Live(ctx, s.Suspended)
	if err != nil {
		return err
	}
	if s.JSON {
		return json.NewEncoder(os.Stdout).Encode(live)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SALE\tPARTITION\tKIND\tSTATE\tSUSPENDED\tFREE\tHELD\tSOLD\tWAITING\tCLOSES\tTITLE")
	for _, l := range live {
		suspended := "no"
		if l.Suspended {
			suspended = "yes"
		}
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", l.ID, l.Partition, l.Kind, l.State, suspended,
			l.Free, l.Held, l.Sold, l.Waiting, l.ClosesAt.Format(time.RFC3339), line(l.Title))
	}
	return table.Flush()
}

// asked is what came of a request to suspend or to resume.
type asked struct {
	Sale    int64     `json:"sale"`
	State   string    `json:"state"` // suspended, resumed
	Receipt uuid.UUID `json:"receipt"`
}

// ask waits for what comes of one, and tells it.
func ask(ctx context.Context, id int64, state string, asJSON bool, do func(context.Context, int64) (uuid.UUID, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settleMost)
	defer cancel()
	receipt, err := do(ctx, id)
	switch {
	case err != nil && receipt != uuid.Nil:
		return fmt.Errorf("receipt %s: %w", receipt, err)
	case err != nil:
		return err
	case asJSON:
		return json.NewEncoder(os.Stdout).Encode(asked{id, state, receipt})
	}
	fmt.Printf("sale %d is %s, receipt %s\n", id, state, receipt)
	return nil
}

type suspendSale struct {
	salesOf

	ID   int64 `arg:"" help:"The number of the sale."`
	JSON bool  `name:"json" help:"Print the outcome as one JSON object on standard output."`
}

func (suspendSale) Help() string {
	return aboutSuspension + `

It takes its turn in the stream of the sale, so a consumer must work; it waits for that for 15 seconds. A sale that has not opened cannot be suspended: its seller may still change or delete it.`
}

// Run is the command.
func (s *suspendSale) Run(ctx context.Context) (err error) {
	h, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	return ask(ctx, s.ID, "suspended", s.JSON, h.Audit.Suspend)
}

type resumeSale struct {
	salesOf

	ID    int64 `arg:"" help:"The number of the sale."`
	Force bool  `help:"Resume it whatever the audit finds: you know that it is history, or harmless."`
	JSON  bool  `name:"json" help:"Print the outcome as one JSON object on standard output."`
}

func (resumeSale) Help() string {
	return aboutSuspension + `

It audits the sale first, as "sluice audit" does, and refuses when it is still broken (exit status 1) or its partition could not be compared (3). A wrong decision stays in the log for as long as that is kept, so a sale whose books were put right after one can only be resumed with --force.`
}

var errStillBroken = errors.New("the sale is still broken: repair it first, or know better with --force")

// Run is the command.
func (s *resumeSale) Run(ctx context.Context) (err error) {
	h, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	report, err := h.Audit.Sale(ctx, s.ID)
	if err != nil {
		return err
	}
	for _, f := range report.Broken {
		fmt.Fprintf(os.Stderr, "BROKEN %s partition %d sale %d: %s\n", f.Rule, f.Partition, f.Sale, f.Detail)
	}
	switch {
	case s.Force:
	case report.Verdict == "broken":
		return errStillBroken
	case report.Verdict == "busy":
		return errBusy
	}
	return ask(ctx, s.ID, "resumed", s.JSON, h.Audit.Resume)
}
