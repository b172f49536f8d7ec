package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	show "sluice/internal/demo"
	"sluice/internal/process"
)

type demo struct {
	process.Config `embed:""`

	Buyers int           `default:"5000" placeholder:"N" help:"How many buyers bid in the auction; the other crowds are sized after it. Default: ${default}."`
	Spread time.Duration `default:"8s" placeholder:"TIME" help:"The time after opening in which they all ask, at most 30s. Default: ${default}."`
	Crowd  bool          `help:"No report: a crowd that keeps buying, for the pages. It goes on until Ctrl-C."`
	Exit   bool          `help:"End after the report; else it keeps serving until Ctrl-C."`
	JSON   bool          `name:"json" help:"Print the report as one JSON object, and nothing else, on standard output."`
}

func (demo) Help() string {
	return `It starts everything as "up" does, and makes a seller with four sales and buyers with points: an auction (100 units, a price of 10,000 points that falls by 100 every second for a minute), a reservation (held for two seconds, then to be paid, with a waiting line), coupons, and an event with a waiting line. Every buyer asks over HTTP at a random moment and polls the receipt to its end; some pay, some cancel, some let a hold expire, some use a coupon. Then comes the report, one row per kind: requests, accepted, refused, units sold, points moved, time to the verdict, and an audit of the whole record.

With --crowd there is no report: sales of every kind are opened again and again, and a crowd takes of them, a few requests a second, so that the pages of the storefront (at the address that is printed) have something to show.

A port that is taken is replaced by a free one.

Exit status 1 when anything is oversold, unfinished or out of order, when the audit finds something broken, or when it is interrupted before the report.`
}

var errNotClean = errors.New("the demo is not clean: see the report")

// Run is the command.
func (d *demo) Run(ctx context.Context) (err error) {
	if err := d.Check(process.Schema); err != nil {
		return err
	}
	if d.Crowd && (d.Exit || d.JSON) {
		return usage{errors.New("--crowd has no report, so neither --exit nor --json goes with it")}
	}
	options := show.Options{Buyers: d.Buyers, Spread: d.Spread, Progress: os.Stderr, Terminal: process.IsTerminal(os.Stderr)}
	if err := options.Check(); err != nil {
		return usage{err}
	}
	log := d.Logger(os.Stderr)
	doors, err := listen(ctx, d.Config, true)
	if err != nil {
		return err
	}
	defer doors.close()
	options.URL = doors.url()
	fmt.Fprintln(os.Stderr, "starting Redis, Postgres and Sluice")
	h, err := open(ctx, d.Config, log, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	if d.Crowd {
		fmt.Fprintf(os.Stderr, "serving on %s; Redis is %s\n%s", options.URL, h.servers.RedisKind, d.pages(options.URL))
		return process.Together(ctx,
			func(ctx context.Context) error { return show.Market(ctx, h.Process, options.URL) },
			func(ctx context.Context) error { return h.Run(ctx, doors.api, doors.ops) },
		)
	}
	fmt.Fprintf(os.Stderr, "serving on %s; Redis is %s; %d buyers are coming\n", options.URL, h.servers.RedisKind, d.Buyers)
	// The demo stops first, so that nobody asks an API that is gone.
	return process.Together(ctx,
		func(ctx context.Context) error { return d.play(ctx, h, options) },
		func(ctx context.Context) error { return h.Run(ctx, doors.api, doors.ops) },
	)
}

// play runs the demo and reports it, and then waits for Ctrl-C unless it is to
// exit.
func (d *demo) play(ctx context.Context, h *house, options show.Options) error {
	report, err := show.Run(ctx, h.Process, options)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted before the report")
	}
	if err != nil {
		return err
	}
	if err := d.print(os.Stdout, report); err != nil {
		return err
	}
	if !report.Clean() {
		return errNotClean
	}
	if d.Exit {
		return nil
	}
	var out io.Writer = os.Stdout
	if d.JSON {
		out = os.Stderr
	}
	if err := show.Invitation(ctx, h.Process, options.URL, out); err != nil && ctx.Err() == nil {
		return err
	}
	if _, err := io.WriteString(out, d.pages(options.URL)); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// pages says where a person finds them, if there are any.
func (d *demo) pages(url string) string {
	if d.Web != "on" {
		return ""
	}
	return show.Address(url)
}

func (d *demo) print(w io.Writer, report show.Report) error {
	if d.JSON {
		return json.NewEncoder(w).Encode(report)
	}
	return report.Table(w)
}
