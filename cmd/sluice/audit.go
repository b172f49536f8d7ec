package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"sluice/internal/process"
)

type audit struct {
	process.Config `embed:""`

	JSON bool `name:"json" help:"Print the report as one JSON object on standard output."`
}

func (audit) Help() string {
	return `It compares Redis with Postgres sale by sale, receipts with counters, wallets with the ledger, and decides the whole log again, in stream order. It changes nothing and may run beside a working deployment, whose servers are given by their URLs; private servers can only be audited while no other sluice uses them.

Exit status 0 when everything holds, 1 when a rule is broken, 3 when none is but a partition was too busy to be compared.`
}

var (
	errBroken = errors.New("the audit found something broken")
	errBusy   = errors.New("some partitions were too busy to be compared: try again")
)

// Run is the command.
func (a *audit) Run(ctx context.Context) (err error) {
	if err := a.Check(); err != nil {
		return err
	}
	h, err := open(ctx, a.Config, a.Logger(os.Stderr), false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	report, err := h.Audit.Run(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
			return err
		}
	} else {
		fmt.Printf("looked at %d partitions, %d sales, %d receipts, %d ledger entries, %d batches with %d requests, in %d ms\n",
			report.Partitions, report.Sales, report.Receipts, report.Entries, report.Batches, report.Requests, report.TookMS)
		for _, f := range report.Broken {
			where := ""
			if f.Partition >= 0 {
				where += fmt.Sprintf(" partition %d", f.Partition)
			}
			if f.Sale != 0 {
				where += fmt.Sprintf(" sale %d", f.Sale)
			}
			fmt.Printf("BROKEN %s%s: %s\n", f.Rule, where, f.Detail)
		}
		if more := report.Breaches - int64(len(report.Broken)); more > 0 {
			fmt.Printf("and %d more of the same kinds\n", more)
		}
		if len(report.Busy) > 0 {
			fmt.Printf("busy partitions: %s\n", strings.Trim(fmt.Sprint(report.Busy), "[]"))
		}
		fmt.Printf("audit %s\n", report.Verdict)
	}
	switch report.Verdict {
	case "broken":
		return errBroken
	case "busy":
		return errBusy
	}
	return nil
}

// exitBusy is the audit's own exit status.
const exitBusy = 3

// usage is bad use that the grammar does not catch.
type usage struct{ error }

// status prints err, if there is one, and answers the exit status.
func status(err error) int {
	code := process.Status(err, os.Stderr, "sluice")
	if u := (usage{}); errors.As(err, &u) {
		return process.ExitUsage
	}
	if errors.Is(err, errBusy) {
		return exitBusy
	}
	return code
}
