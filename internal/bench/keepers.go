package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"sluice/internal/ledger"
	"sluice/internal/partition"
	"sluice/internal/process"
	"sluice/internal/sale"
)

// keepers are both stores of a stage with the schema on them, for what is measured
// behind the API: requests are admitted by this process, and settled by a consumer that
// is started when they are to be.
type keepers struct {
	*Stage
	ledger     *ledger.Ledger
	store      *partition.Store
	redis      redis.UniversalClient
	postgres   *pgxpool.Pool // of the benchmark itself: its statements may take as long as they need
	program    []string
	partitions int
	seller     int64

	asked atomic.Int64 // requests so far: each has a key of its own
}

// keepers brings a stage to where a deployment of so many partitions begins. The caller
// closes them; the stage is the run's.
func (r *Run) keepers(ctx context.Context, partitions int) (k *keepers, err error) {
	return r.keepersOn(ctx, partitions, false)
}

// keepersOn is keepers, on one Redis or on a cluster.
func (r *Run) keepersOn(ctx context.Context, partitions int, clustered bool) (k *keepers, err error) {
	stage, err := r.stage(ctx, clustered)
	if err != nil {
		return nil, err
	}
	k = &keepers{Stage: stage, program: r.Program, partitions: partitions}
	defer func() {
		if err != nil {
			err = errors.Join(err, k.leave())
		}
	}()
	if err := process.Migrate(ctx, stage.PostgresURL); err != nil {
		return k, err
	}
	if k.ledger, err = ledger.Open(ctx, ledger.Options{URL: stage.PostgresURL}); err != nil {
		return k, err
	}
	if err := k.ledger.EnsurePartitions(ctx, partitions); err != nil {
		return k, err
	}
	if k.store, err = partition.Open(ctx, partition.Options{URL: stage.RedisURL, Partitions: partitions}); err != nil {
		return k, err
	}
	if k.redis, err = stage.Redis(); err != nil {
		return k, err
	}
	config, err := pgxpool.ParseConfig(stage.PostgresURL)
	if err != nil {
		return k, err
	}
	for _, timeout := range []string{"statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout"} {
		config.ConnConfig.RuntimeParams[timeout] = "0"
	}
	if k.postgres, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return k, err
	}
	sellers, err := k.ledger.CreateAccounts(ctx, "seller", 1, 0)
	if err != nil {
		return k, err
	}
	k.seller = sellers[0]
	return k, nil
}

// leave ends the connections.
func (k *keepers) leave() (err error) {
	if k.store != nil {
		err = k.store.Close()
	}
	if k.redis != nil {
		err = errors.Join(err, k.redis.Close())
	}
	if k.postgres != nil {
		k.postgres.Close()
	}
	if k.ledger != nil {
		k.ledger.Close()
	}
	return err
}

// sql runs statements one after another.
func (k *keepers) sql(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if _, err := k.postgres.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%w: %.200s", err, statement)
		}
	}
	return nil
}

// worker starts one process of a deployment, which is named after its role.
func (k *keepers) worker(ctx context.Context, role string) (*Program, error) {
	return k.work(ctx, role, role)
}

// work is worker under a name of its own.
func (k *keepers) work(ctx context.Context, name, role string) (*Program, error) {
	return k.Start(ctx, name, Command{
		Args: append(k.program[:len(k.program):len(k.program)], "worker", role),
		Env: []string{
			"SLUICE_REDIS_URL=" + k.RedisURL, "SLUICE_POSTGRES_URL=" + k.PostgresURL, "SLUICE_PARTITIONS=" + strconv.Itoa(k.partitions),
			"SLUICE_JWT_KEYS=" + newKeys(), "SLUICE_LISTEN=127.0.0.1:0", "SLUICE_OPS_LISTEN=127.0.0.1:0",
			"SLUICE_LOG_LEVEL=info", "SLUICE_LOG_FORMAT=json",
		},
		Quiet: role != process.RoleAPI,
	})
}

// settling has a consumer at work while work is.
func (k *keepers) settling(ctx context.Context, work func() error) error {
	consumer, err := k.worker(ctx, process.RoleConsumer)
	if err != nil {
		return err
	}
	return errors.Join(work(), k.Leave(consumer))
}

// openPartitions has the partitions taken once, so that requests are let in.
func (k *keepers) openPartitions(ctx context.Context) error {
	return k.settling(ctx, func() error {
		return until(ctx, patience, "every partition is open", func() (bool, error) {
			q, err := k.queue(ctx)
			return q.open == k.partitions && q.waits() == 0, err
		})
	})
}

// sale is record, and puts the sale into Redis.
func (k *keepers) sale(ctx context.Context, change func(*sale.Sale)) (sale.Sale, error) {
	s, err := k.record(ctx, change)
	if err != nil {
		return s, err
	}
	return s, k.load(ctx, s)
}

// record makes a sale that sells for an hour, at 10 points a unit; change says how it
// differs.
func (k *keepers) record(ctx context.Context, change func(*sale.Sale)) (sale.Sale, error) {
	now := sale.At(time.Now())
	s := sale.Sale{
		Kind: sale.Auction, Seller: k.seller, Title: "bench", Stock: sale.MaxStock, Limit: 1_000_000, ShowStock: true,
		Price:   sale.Price{Policy: sale.Constant, Start: price, Drop: 1, Period: time.Hour},
		OpensAt: now - 1000, ClosesAt: now.Add(time.Hour), RefundWindow: time.Hour,
	}
	if change != nil {
		change(&s)
	}
	return k.ledger.CreateSale(ctx, s, k.partitions)
}

// load puts a sale into Redis, as the first request for it would.
func (k *keepers) load(ctx context.Context, s sale.Sale) error {
	return k.store.LoadFrom(ctx, s.Partition, s.ID, func(ctx context.Context) (*sale.Stand, sale.EntryID, error) {
		return k.ledger.Stand(ctx, s.ID)
	})
}

// offer makes so many sales, each with hundreds of thousands of units, eight at a time.
func (k *keepers) offer(ctx context.Context, n int) ([]sale.Sale, error) {
	made := make([]sale.Sale, n)
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(8)
	for i := range made {
		work.Go(func() (err error) {
			made[i], err = k.sale(ctx, nil)
			return err
		})
	}
	return made, work.Wait()
}

// bid is the i-th bid, under a key of its own, as a careful client sends it.
func (k *keepers) bid(s sale.Sale, buyer int64, i int) sale.Request {
	return sale.Request{
		Receipt: sale.KeyedReceiptID(s.Partition, buyer, s.ID, sale.Bid, strconv.Itoa(i)),
		Verb:    sale.Bid, Sale: s.ID, Buyer: buyer, Quantity: 1, Price: price,
	}
}

// limits are those of a deployment, but for the bounds that would refuse a crowd.
var limits = partition.Limits{Rate: 1e6, Burst: 1e6, Backlog: 1 << 40}

// admit lets in whatever next answers until that answers false; 256 callers ask.
func (k *keepers) admit(ctx context.Context, next func() (sale.Request, bool)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var crowd sync.WaitGroup
	for range callers {
		crowd.Go(func() {
			for ctx.Err() == nil {
				request, more := next()
				if !more {
					return
				}
				p, _ := sale.PartitionOf(request.Receipt)
				if _, err := k.store.Admit(ctx, p, request, partition.Selling, limits); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	crowd.Wait()
	return context.Cause(ctx)
}

// upTo answers what next answers, n times.
func upTo(n int, next func(i int) sale.Request) func() (sale.Request, bool) {
	var taken atomic.Int64
	return func() (r sale.Request, more bool) {
		i := taken.Add(1) - 1
		if i >= int64(n) {
			return r, false
		}
		return next(int(i)), true
	}
}

// queue is how the streams stand, all together.
type queue struct {
	open              int // partitions that have data
	admitted, applied int64
}

func (q queue) waits() int64 { return q.admitted - q.applied }

// queue reads how the streams stand.
func (k *keepers) queue(ctx context.Context) (q queue, err error) {
	var answers []*redis.SliceCmd
	if _, err := k.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range k.partitions {
			answers = append(answers, p.HMGet(ctx, "{s"+strconv.Itoa(i)+"}", "generation", "seq", "applied_seq"))
		}
		return nil
	}); err != nil {
		return q, err
	}
	number := func(v any) int64 {
		text, _ := v.(string)
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	for _, a := range answers {
		if a.Val()[0] != nil {
			q.open++
		}
		q.admitted, q.applied = q.admitted+number(a.Val()[1]), q.applied+number(a.Val()[2])
	}
	return q, nil
}

// patience is for what takes moments, on however busy a machine.
const patience = 5 * time.Minute
