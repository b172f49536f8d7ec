package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"sluice/internal/process"
)

type dead struct {
	List   listDead   `cmd:"" set:"log_level=warn" help:"List the dead letters."`
	Show   showDead   `cmd:"" set:"log_level=warn" help:"Show all that is known of a dead letter."`
	Replay replayDead `cmd:"" set:"log_level=warn" help:"Ask for what a dead letter asks once more, and drop it."`
	Drop   dropDead   `cmd:"" set:"log_level=warn" help:"Forget a dead letter."`
}

const aboutDead = `A dead letter is a request that could not be settled: it could not be read, or Postgres refused it for its data, time and again. Its receipt is rejected as "internal", and nothing has happened to stock or points.`

// deadOf is what these commands have in common.
type deadOf struct {
	process.Config `embed:""`

	Partition int `default:"-1" placeholder:"N" help:"The partition to look in. Default: all of them."`
}

func (d *deadOf) open(ctx context.Context) (*house, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	return open(ctx, d.Config, d.Logger(os.Stderr), false)
}

type listDead struct {
	deadOf

	JSON bool `name:"json" help:"Print them as one JSON list on standard output."`
}

func (listDead) Help() string { return aboutDead }

// Run is the command.
func (d *listDead) Run(ctx context.Context) (err error) {
	h, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	letters, err := h.Dead.List(ctx, d.Partition)
	if err != nil {
		return err
	}
	if d.JSON {
		return json.NewEncoder(os.Stdout).Encode(letters)
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPARTITION\tRECEIPT\tSALE\tVERB\tATTEMPTS\tAGE\tCAUSE")
	for _, l := range letters {
		verb := l.Verb
		if verb == "" {
			verb = "?"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\t%d\t%s\t%s\n", l.ID, l.Partition, l.Receipt, l.Sale, verb, l.Attempts, age(l.AgeMS), line(l.Cause))
	}
	return table.Flush()
}

// age is a duration in the precision that an operator cares for.
func age(ms int64) time.Duration { return (time.Duration(ms) * time.Millisecond).Round(time.Second) }

// line is a text that cannot break out of its line.
func line(text string) string {
	quoted := fmt.Sprintf("%q", text)
	return quoted[1 : len(quoted)-1]
}

type showDead struct {
	deadOf

	ID string `arg:"" help:"As \"dead list\" shows it."`
}

func (showDead) Help() string { return aboutDead }

// Run is the command.
func (d *showDead) Run(ctx context.Context) (err error) {
	h, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	l, err := h.Dead.Show(ctx, d.Partition, d.ID)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
	}{
		{"id", l.ID}, {"partition", l.Partition}, {"receipt", l.Receipt}, {"sale", l.Sale}, {"buyer", l.Buyer}, {"verb", l.Verb},
		{"quantity", l.Quantity}, {"price", l.Price}, {"request_id", line(l.Trace)}, {"cause", line(l.Cause)}, {"attempts", l.Attempts},
		{"asked", l.Asked.Format(time.RFC3339Nano)}, {"died", l.Died.Format(time.RFC3339Nano)}, {"age", age(l.AgeMS)},
	} {
		fmt.Fprintf(table, "%s\t%v\n", row.name, row.value)
	}
	for _, name := range slices.Sorted(maps.Keys(l.Payload)) {
		fmt.Fprintf(table, "payload %s\t%q\n", line(name), l.Payload[name])
	}
	return table.Flush()
}

type replayDead struct {
	deadOf

	ID string `arg:"" help:"As \"dead list\" shows it."`
}

func (replayDead) Help() string {
	return aboutDead + `

The old receipt stays rejected: that is final. The request gets a new one, the same however often this is repeated, and the time of its new place in the stream: a sale that has closed since then rejects it. What is still refused comes back as a new dead letter.`
}

// Run is the command.
func (d *replayDead) Run(ctx context.Context) (err error) {
	h, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	receipt, err := h.Dead.Replay(ctx, d.Partition, d.ID)
	if err != nil {
		return err
	}
	fmt.Printf("queued as receipt %s\n", receipt)
	return nil
}

type dropDead struct {
	deadOf

	ID string `arg:"" help:"As \"dead list\" shows it."`
}

func (dropDead) Help() string {
	return aboutDead + ` Dropped, it cannot be replayed any more.`
}

// Run is the command.
func (d *dropDead) Run(ctx context.Context) (err error) {
	h, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.Dead.Drop(ctx, d.Partition, d.ID); err != nil {
		return err
	}
	fmt.Printf("dropped %s\n", d.ID)
	return nil
}
