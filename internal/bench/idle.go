package bench

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/process"
)

// idle is what a deployment costs while nobody asks it for anything.
var idle = Scenario{
	Name:  "idle",
	Title: "An idle deployment",
	What: "An API, a consumer and a scheduler, each a process of its own, with 16 partitions and one open sale, while nobody " +
		"asks for anything. CPU is that of each process, in percent of one core; commands are those that Redis counts, also of " +
		"scripts it runs, without those that ask for the count.",
	Gives: []string{"CPU, api", "CPU, consumer", "CPU, scheduler", "CPU, postgres", "CPU, redis", "Redis commands", "Postgres transactions"},
	Run:   measureIdle,
}

const idlePartitions = 16

func measureIdle(ctx context.Context, r *Run) error {
	k, err := r.keepers(ctx, idlePartitions)
	if err != nil {
		return err
	}
	defer k.leave()
	for _, role := range []string{process.RoleConsumer, process.RoleScheduler, process.RoleAPI} {
		if _, err := k.worker(ctx, role); err != nil {
			return err
		}
	}
	if err := until(ctx, patience, "every partition is open", func() (bool, error) {
		q, err := k.queue(ctx)
		return q.open == idlePartitions && q.waits() == 0, err
	}); err != nil {
		return err
	}
	if _, err := k.sale(ctx, nil); err != nil {
		return err
	}
	// What comes with the start is over: the sale's opening, its announcement, caches.
	if err := rest(ctx, time.Duration(r.Scale(15_000, 100))*time.Millisecond); err != nil {
		return err
	}

	length := r.Length(30)
	commands, err := k.commands(ctx)
	if err != nil {
		return err
	}
	transactions, err := k.transactions(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	used, err := k.Spent(func() error { return rest(ctx, length) })
	if err != nil {
		return err
	}
	took := time.Since(began).Seconds()
	later, err := k.commands(ctx)
	if err != nil {
		return err
	}
	transactionsLater, err := k.transactions(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		r.Figure("CPU, "+name, "% of a core", used[name].Seconds()/took*100, Target{Bound: 1, Goal: 0.5})
	}
	made := since(commands, later)
	r.Figure("Redis commands", "/s", float64(sum(made))/took, Target{Bound: 50, Goal: 25})
	r.Figure("Postgres transactions", "/s", float64(transactionsLater-transactions-1)/took, Target{})
	byRate := slices.SortedFunc(maps.Keys(made), func(a, b string) int {
		return cmp.Or(cmp.Compare(made[b], made[a]), cmp.Compare(a, b))
	})
	var each []string
	for _, name := range byRate {
		each = append(each, fmt.Sprintf("%s %s", name, short(float64(made[name])/took)))
	}
	r.Note("Redis commands a second: %s.", strings.Join(each, ", "))
	return nil
}

// rest waits.
func rest(ctx context.Context, length time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(length):
		return nil
	}
}

// commands are how often each command has been run on the stage's Redis, without INFO,
// which asks for it.
func (k *keepers) commands(ctx context.Context) (map[string]int64, error) {
	text, err := k.redis.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	return commandCalls(text), nil
}

// commandCalls reads lines like "cmdstat_get:calls=3,usec=9,…".
func commandCalls(text string) map[string]int64 {
	calls := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		number, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil && name != "info" {
			calls[name] = n
		}
	}
	return calls
}

// since is what was counted between two counts.
func since(before, after map[string]int64) map[string]int64 {
	made := map[string]int64{}
	for name, n := range after {
		if n -= before[name]; n != 0 {
			made[name] = n
		}
	}
	return made
}

func sum(counts map[string]int64) (all int64) {
	for _, n := range counts {
		all += n
	}
	return all
}

// transactions are those of the stage's database so far. Asking is one itself.
func (k *keepers) transactions(ctx context.Context) (n int64, err error) {
	err = k.postgres.QueryRow(ctx, `
		select xact_commit + xact_rollback
		from pg_stat_database
		where datname = current_database()`).Scan(&n)
	return n, err
}
