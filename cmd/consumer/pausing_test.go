package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/process"
	"sluice/internal/settlement"
)

// pausing is a consumer that stops itself, with SIGSTOP, inside its next transaction
// after a SIGUSR1: between its first statement and its writes, or between those and
// COMMIT. It is continued from outside.
func pausing() {
	ctx, stop := process.Signals(context.Background())
	defer stop()
	var armed atomic.Bool
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	go func() {
		for range usr1 {
			armed.Store(true)
			fmt.Println("armed")
		}
	}()
	place := os.Getenv("SLUICE_TEST_PAUSE")
	book, err := ledger.Open(ctx, ledger.Options{URL: os.Getenv("SLUICE_POSTGRES_URL"), MaxConns: 8, WrapTx: func(tx pgx.Tx) pgx.Tx {
		return &pausingTx{Tx: tx, armed: &armed, place: place}
	}})
	if err == nil {
		var store *partition.Store
		store, err = partition.Open(ctx, partition.Options{URL: os.Getenv("SLUICE_REDIS_URL"), Partitions: yardPartitions})
		if err == nil {
			err = settlement.New(os.Getenv("SLUICE_NAME"), store, book, zerolog.New(os.Stderr).Level(zerolog.ErrorLevel), prometheus.NewRegistry()).Run(ctx)
		}
	}
	fmt.Println("ended", err)
	os.Exit(process.Status(err, os.Stderr, "pausing"))
}

// pausingTx is a transaction of Settle.
type pausingTx struct {
	pgx.Tx
	armed  *atomic.Bool
	place  string
	sent   int
	paused bool
}

func (p *pausingTx) pause(at string) {
	if p.place != at || !p.armed.CompareAndSwap(true, false) {
		return
	}
	p.paused = true
	fmt.Println("inside")
	// To this very thread: it stops before it is back from the call. A signal to the
	// process stops whichever thread comes by, and this one may send COMMIT meanwhile.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := syscall.Tgkill(os.Getpid(), syscall.Gettid(), syscall.SIGSTOP); err != nil {
		fmt.Println(err)
	}
}

// SendBatch sends the fence and the questions first, then the writes.
func (p *pausingTx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if p.sent++; p.sent == 2 {
		p.pause("write")
	}
	return p.Tx.SendBatch(ctx, b)
}

func (p *pausingTx) Commit(ctx context.Context) error {
	p.pause("commit")
	return p.Tx.Commit(ctx)
}

// Rollback tells, by the way, that it is over.
func (p *pausingTx) Rollback(ctx context.Context) error {
	err := p.Tx.Rollback(ctx)
	if p.paused {
		fmt.Println("over:", err)
	}
	return err
}

// TestStoppedInsideATransaction: a consumer is stopped in the middle of a
// transaction, with the partition's row locked. The other one takes over, and when
// the first one goes on it changes nothing, neither in Redis nor in Postgres.
func TestStoppedInsideATransaction(t *testing.T) {
	for _, place := range []string{"write", "commit"} {
		t.Run("before "+place, func(t *testing.T) {
			t.Setenv("SLUICE_TEST_PAUSE", place)
			y := newYard(t)
			paused := y.starts("pausing", "paused", y.redis.URL, y.postgres+"&application_name=paused")
			y.share(yardPartitions, "paused")
			y.starts("consumer", "heir", y.redis.URL, y.postgres)
			y.share(yardPartitions/2, "paused", "heir")
			y.flows()
			end := y.busy()
			look, err := pgx.Connect(y.ctx, y.postgres) // now: Postgres ends the transaction after two seconds
			y.must(err)
			defer look.Close(y.ctx)
			y.signal(paused, syscall.SIGUSR1)
			y.says(paused, "inside")
			since := time.Now()
			if !insideTransaction(y, look) {
				t.Error("no transaction is open: the test shows nothing")
			}
			y.share(yardPartitions, "heir")
			end()
			_, worst := y.worst(since)
			t.Logf("stopped before %s: taken over; the longest wait for an answer %s", place, worst)
			if worst > 10*takeoverBound {
				t.Error("that is too long")
			}
			before := y.standing()
			y.signal(paused, syscall.SIGCONT)
			if over := y.says(paused, "over:"); over == "" {
				t.Error("its transaction is not over")
			}
			y.share(yardPartitions/2, "paused", "heir") // under new epochs
			if after := y.standing(); after != before {
				t.Errorf("the ex-owner changed something:\n%s\nthen\n%s", before, after)
			}
			y.proves()
		})
	}
}

// insideTransaction says whether the paused consumer has the row of a partition
// locked. Postgres may have shown it a moment ago what is not in its statistics yet.
func insideTransaction(y *yard, look *pgx.Conn) (is bool) {
	y.Helper()
	for began := time.Now(); !is && time.Since(began) < time.Second; {
		y.must(look.QueryRow(y.ctx, `
			select count(*) > 0
			from pg_stat_activity
			where xact_start is not null and application_name = 'paused'
				and pid in (select pid from pg_locks where relation = 'partitions'::regclass and mode = 'RowExclusiveLock')`).Scan(&is))
	}
	return is
}

// standing is all that Redis and Postgres hold, but leases, consumers and epochs.
func (y *yard) standing() string {
	y.Helper()
	all := ""
	for _, table := range []string{"wallets", "entries", "sales", "receipts", "batches", "orders", "notices", "rejections", "coupons"} {
		all += table + " " + y.query(`select count(*) || ' ' || coalesce(md5(string_agg(t::text, chr(10) order by t::text)), '') from `+table+` t`) + "\n"
	}
	all += "partitions " + y.query(`select string_agg(format('%s %s %s %s %s', id, generation, applied_ms, applied_no, seq), ', ' order by id) from partitions`) + "\n"
	raw := y.raw()
	for p := range yardPartitions {
		slot := "{s" + strconv.Itoa(p) + "}"
		keys, err := raw.Keys(y.ctx, slot+"*").Result()
		y.must(err)
		held, err := raw.HGetAll(y.ctx, slot).Result()
		y.must(err)
		delete(held, "epoch")
		all += fmt.Sprint(slot, " ", held, "\n")
		for _, key := range keys {
			if key == slot || key == slot+":owner" {
				continue
			}
			value, err := raw.Dump(y.ctx, key).Result()
			if err != redis.Nil { // its time has come meanwhile
				y.must(err)
			}
			all += fmt.Sprintf("%s %x\n", key, value)
		}
	}
	return all
}
