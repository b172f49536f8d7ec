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
	Minutes   float64 `default:"3" placeholder:"N" help:"How long things go on and break, up to 60. Default: ${default}."`
	Seconds   float64 `placeholder:"N" help:"The same in seconds, 5 or more; wins over --minutes."`
	Seed      uint64  `placeholder:"N" help:"Decides the faults and what every buyer means to do. Default: a new one each time, which is printed."`
	Buyers    int     `default:"64" placeholder:"N" help:"How many buyers ask at once. Default: ${default}."`
	Forgetful bool    `help:"Let Redis forget: it keeps nothing on disk, so that each of its crashes empties it, and it is emptied at random besides. Then what was queued may be lost, but not silently."`
	Cluster   bool    `help:"Let Redis be a cluster of three masters and three replicas, whose nodes die, freeze, take over and exchange slots besides. What was queued and not yet replicated may be lost then, but not silently, and nothing else."`
	From      string  `type:"existingfile" placeholder:"FILE" help:"A sluice of another release. The deployment begins with it, is updated to this one while things break, taken back, and updated again, process by process: consumers, APIs, schedulers."`
	Calm      bool    `help:"With --from: break nothing. Processes are exchanged one by one, behind a balancer, and nobody who asks or waits may notice."`
	Hosts     bool    `help:"Have three hosts in place of all that breaks otherwise: network namespaces, each with an API, a consumer and a scheduler, beside one of the stores and one of the clients. They are cut from each other, one way or both, slow, lossy, frozen, switched off. On Linux, with the rights of root."`
	Keep      bool    `help:"Keep the folder, with everybody's logs and the clients' history, also when nothing is wrong."`
	JSON      bool    `name:"json" help:"Print the report as one JSON object, and nothing else, on standard output."`
}

func (torture) Help() string {
	return `It starts two APIs, three consumers and two schedulers as processes of their own, over a private redis-server and Postgres in a temporary folder, with a proxy on every line between them. Buyers ask for everything that the four kinds of sales and the stores offer, repeat themselves under the same Idempotency-Key, and write down all they are told. Meanwhile processes are killed (SIGKILL) and started again, or stopped and continued (SIGSTOP, SIGCONT); so are Redis and Postgres, on their data; and lines are slow, trickle, are cut off, or swallow what they should carry, one way or both. Then everything is healed, every receipt read to its end and once more, and the record audited.

It touches nothing outside of its folder, which is kept when something is wrong: with the log of every process and the clients' history. The settings of other commands (SLUICE_…) have no part in it.

Exit status 1 when a request got no answer or no outcome, two receipts or a lost one; when a status went back, or an outcome that was shown changed; when anything is oversold or out of order, a coupon used twice, the audit finds something broken, or a process ended by itself without need.

With --forgetful a request may be lost while it is queued, since Redis loses all it has. It must be answered as lost then (410), may be asked again under its key, and is decided once. Everything else holds as before.

With --hosts nothing is killed but whole machines. After each hardship it waits until all that the host had to do is done by others, and afterwards until all share evenly again: that takes seconds, which are reported, and more than a minute is a fault.

With --cluster each worker has a line of its own to each of six nodes. A master is killed under load and comes back as the replica of its successor; one is killed whose replica lags and is promoted late; one is frozen for longer than the others wait, and comes back believing that it still is one; one hands over in order; a slot moves, key by key, while its sales are selling, and back; a worker is cut off from one master, one way or both; a master and its replica are away together, while all others must sell on. A request may be lost only if it was queued in a partition whose master changed out of order, and taken in after the moment until which the successor is known to have had everything: the nodes' own offsets tell, asked fifty times a second. The report says how many were.`
}

var errWronged = errors.New("somebody was wronged: see the report")

// Run is the command.
func (t *torture) Run(ctx context.Context) error {
	options := rack.Options{
		Length: time.Duration(t.Minutes * float64(time.Minute)), Seed: t.Seed, Buyers: t.Buyers, Forgetful: t.Forgetful, Cluster: t.Cluster, Hosts: t.Hosts, Calm: t.Calm, Keep: t.Keep,
		Progress: os.Stderr, Terminal: process.IsTerminal(os.Stderr),
	}
	if t.Seconds != 0 {
		options.Length = time.Duration(t.Seconds * float64(time.Second))
	}
	for options.Seed == 0 {
		options.Seed = rand.Uint64N(1_000_000)
	}
	if t.From != "" {
		options.From = []string{t.From, "torture-worker"}
	}
	if err := options.Check(); err != nil {
		return usage{err}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program itself, to run it as workers: %w", err)
	}
	options.Program = []string{self, "worker"}
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
