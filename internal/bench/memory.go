package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

var memory = Scenario{
	Name:  "memory",
	Title: "What requests and receipts weigh",
	What: "How much Redis' used_memory, without the buffers of its clients and its log, grows by 100,000 requests of as many buyers, each under a key " +
		"of its own, divided by their number: while they are queued, and once they are decided and their entries are trimmed. Beside it MEMORY USAGE of the " +
		"structures that grow with them. Of Postgres the growth of tables with their indexes.",
	Gives: []string{
		"queued", "rejected", "confirmed, all in all", "held, all in all", "waiting, all in all",
		"confirmed, receipt alone", "a buyer's units", "a hold's place", "a waiting one's place", "Postgres, confirmed", "Postgres, rejected",
	},
	Run: measureMemory,
}

func measureMemory(ctx context.Context, r *Run) error {
	k, err := r.keepers(ctx, 1)
	if err != nil {
		return err
	}
	defer k.leave()
	if err := k.openPartitions(ctx); err != nil {
		return err
	}
	n := r.Scale(100_000, 3000)
	who, err := k.bidders(ctx, n)
	if err != nil {
		return err
	}
	free := sale.Price{Policy: sale.Fixed}
	bid := func(s sale.Sale) func(i int) sale.Request {
		return func(i int) sale.Request { return k.bid(s, who[i%n], i) }
	}
	reserve := func(s sale.Sale) func(i int) sale.Request {
		return func(i int) sale.Request {
			r := k.bid(s, who[i%n], i)
			r.Receipt = sale.KeyedReceiptID(s.Partition, r.Buyer, s.ID, sale.Reserve, strconv.Itoa(i))
			r.Verb, r.Price = sale.Reserve, 0
			return r
		}
	}
	for _, of := range []struct {
		status    string
		sale      func(*sale.Sale)
		request   func(sale.Sale) func(i int) sale.Request
		all       Target
		structure map[string]string // what grows with them, and what to call it
	}{
		{"confirmed", nil, bid, Target{}, map[string]string{":buyers": "a buyer's units"}},
		{"held", func(s *sale.Sale) {
			s.Kind, s.Price, s.Hold, s.LineMost = sale.Reservation, free, time.Hour, 0
		}, reserve, Target{}, map[string]string{":holds": "a hold's place"}},
		{"waiting", func(s *sale.Sale) {
			s.Kind, s.Price, s.Hold, s.Stock, s.Limit, s.LineMost = sale.Reservation, free, time.Hour, 1, 1, 100_000
		}, reserve, Target{}, map[string]string{":line": "a waiting one's place"}},
		{"rejected", func(s *sale.Sale) {
			s.Kind, s.Price, s.Hold, s.Stock, s.Limit, s.LineMost = sale.Reservation, free, time.Hour, 1, 1, 0
		}, reserve, Target{Bound: 100, Goal: 50}, nil}, // its place is its receipt
	} {
		s, err := k.sale(ctx, of.sale)
		if err != nil {
			return err
		}
		weigh := k.weigh
		if of.status == "rejected" {
			weigh = k.weighRejections
		}
		w, err := weigh(ctx, n, of.request(s))
		if err != nil {
			return fmt.Errorf("%s: %w", of.status, err)
		}
		if got := w.statuses[of.status]; got < int64(n)-1 {
			return fmt.Errorf("%d of %d are %s", got, n, of.status)
		}
		if of.status == "confirmed" {
			r.Figure("queued", "B of Redis", w.queued, Target{Bound: 350, Goal: 175})
			r.Note("Of a queued request the entry in the stream is %s B, its receipt %s B.", short(w.stream), short(w.receipt))
		}
		rest := w.decided
		if of.status == "rejected" {
			r.Figure("rejected", "B of Redis", w.decided, of.all)
			each, err := k.usage(ctx, "{s0}:rejected:0")
			if err != nil {
				return err
			}
			r.Figure("rejected, in its hash", "B of Redis", each/float64(n), Target{})
		} else {
			r.Figure(of.status+", all in all", "B of Redis", w.decided, of.all)
		}
		for suffix, name := range of.structure {
			each, err := k.usage(ctx, fmt.Sprintf("{s%d}:sale:%d%s", s.Partition, s.ID, suffix))
			if err != nil {
				return err
			}
			r.Figure(name, "B of Redis", each/float64(n), Target{})
			rest -= each / float64(n)
		}
		if of.status == "confirmed" {
			r.Figure("confirmed, receipt alone", "B of Redis", rest, Target{})
		}
		if of.status == "confirmed" || of.status == "rejected" {
			r.Figure("Postgres, "+of.status, "B of Postgres", w.postgres, Target{})
		}
	}
	return nil
}

// weights are bytes of one request.
type weights struct {
	queued, decided, postgres float64
	stream, receipt           float64 // of one that is queued, by MEMORY USAGE
	statuses                  map[string]int64
}

// weigh lets n requests in, has them decided, and tells what one of them weighs before
// and after.
func (k *keepers) weigh(ctx context.Context, n int, request func(i int) sale.Request) (w weights, err error) {
	var failed error
	number := func(v float64, err error) float64 {
		if err != nil && failed == nil {
			failed = err
		}
		return v
	}
	postgres, redis, stream := number(k.tables(ctx)), number(k.usedMemory(ctx)), number(k.usage(ctx, "{s0}:log"))
	if failed != nil {
		return w, failed
	}
	if err := k.admit(ctx, upTo(n, request)); err != nil {
		return w, err
	}
	each := 1 / float64(n)
	w.queued = (number(k.usedMemory(ctx)) - redis) * each
	w.stream = (number(k.usage(ctx, "{s0}:log")) - stream) * each
	if failed != nil {
		return w, failed
	}
	if w.receipt, err = k.keyWeight(ctx, "{s0}:r:*"); err != nil {
		return w, err
	}
	if _, _, _, err := k.settle(ctx, 0, int64(n)); err != nil {
		return w, err
	}
	w.decided = (number(k.usedMemory(ctx)) - redis) * each
	w.postgres = (number(k.tables(ctx)) - postgres) * each
	if failed != nil {
		return w, failed
	}
	w.statuses, err = k.statuses(ctx, request(0).Sale)
	return w, err
}

// weighRejections is weigh of requests that are rejected, by a consumer that has been there
// for a while: a new one does not know at once that everybody reads what it keeps briefly.
func (k *keepers) weighRejections(ctx context.Context, n int, request func(i int) sale.Request) (w weights, err error) {
	err = k.settling(ctx, func() error {
		tried := 0
		if err := until(ctx, patience, "rejections are kept briefly", func() (bool, error) {
			if err := k.admit(ctx, upTo(1, func(int) sale.Request { return request(n + tried) })); err != nil {
				return false, err
			}
			tried++
			time.Sleep(100 * time.Millisecond)
			kept, err := k.redis.HKeys(ctx, "{s0}:rejected:0").Result()
			return slices.ContainsFunc(kept, func(id string) bool { return len(id) < len(uuid.UUID{}) }), err
		}); err != nil {
			return err
		}
		redis, err := k.usedMemory(ctx)
		if err != nil {
			return err
		}
		postgres, err := k.tables(ctx)
		if err != nil {
			return err
		}
		if err := k.admit(ctx, upTo(n, request)); err != nil {
			return err
		}
		if err := until(ctx, patience, "all are rejected", func() (bool, error) {
			q, err := k.queue(ctx)
			return err == nil && q.waits() == 0, err
		}); err != nil {
			return err
		}
		used, err := k.usedMemory(ctx)
		if err != nil {
			return err
		}
		tables, err := k.tables(ctx)
		w.decided, w.postgres = (used-redis)/float64(n), (tables-postgres)/float64(n)
		return err
	})
	if err == nil {
		w.statuses, err = k.statuses(ctx, request(0).Sale)
	}
	return w, err
}

// usedMemory is what Redis has for its data: used_memory without buffers of clients and
// of its log. Keys that end within moments are waited for.
func (k *keepers) usedMemory(ctx context.Context) (float64, error) {
	if err := until(ctx, patience, "nothing ends by itself", func() (bool, error) {
		keys, err := k.redis.Keys(ctx, "*:pace:*").Result()
		return len(keys) == 0, err
	}); err != nil {
		return 0, err
	}
	text, err := k.redis.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	return dataMemory(text)
}

// dataMemory reads it from INFO memory.
func dataMemory(text string) (float64, error) {
	fields := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			fields[name] = n
		}
	}
	if fields["used_memory"] == 0 {
		return 0, fmt.Errorf("INFO memory says no used_memory: %.100s", text)
	}
	return fields["used_memory"] - fields["mem_clients_normal"] - fields["mem_aof_buffer"], nil
}

// usage is what Redis says that a key weighs; none weighs nothing.
func (k *keepers) usage(ctx context.Context, key string) (float64, error) {
	n, err := k.redis.MemoryUsage(ctx, key, 0).Result()
	if err != nil && err.Error() == "redis: nil" {
		return 0, nil
	}
	return float64(n), err
}

// keyWeight is what a key of a pattern weighs, in the mean over some.
func (k *keepers) keyWeight(ctx context.Context, pattern string) (float64, error) {
	keys, _, err := k.redis.Scan(ctx, 0, pattern, 1000).Result()
	if err != nil {
		return 0, err
	}
	var all float64
	for _, key := range keys {
		n, err := k.usage(ctx, key)
		if err != nil {
			return 0, err
		}
		all += n
	}
	if len(keys) == 0 {
		return math.NaN(), nil
	}
	return all / float64(len(keys)), nil
}

// tables are all tables of the stage's database with their indexes, in bytes.
func (k *keepers) tables(ctx context.Context) (bytes float64, err error) {
	err = k.postgres.QueryRow(ctx, `
		select sum(pg_total_relation_size(oid))::float8
		from pg_class
		where relkind = 'r' and relnamespace = 'public'::regnamespace`).Scan(&bytes)
	return bytes, err
}

// statuses count the receipts of a sale.
func (k *keepers) statuses(ctx context.Context, id int64) (map[string]int64, error) {
	rows, err := k.postgres.Query(ctx, `
		select status, count(*)
		from receipts
		where sale = $1
		group by status
		union all
		select 'rejected', n
		from rejections
		where sale = $1`, id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[string]int64{}
	for rows.Next() {
		var status string
		var n int64
		if err := rows.Scan(&status, &n); err != nil {
			return nil, err
		}
		found[status] += n
	}
	return found, rows.Err()
}
