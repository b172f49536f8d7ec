// Package partition keeps the hot half of Sluice in Redis: one hash slot per
// partition, with a stream of admitted requests and everything they touch.
//
//	{s3}                 hash: epoch, generation, applied, applied_seq, seq, clock, drain
//	{s3}:log             stream: q (seq), g (generation), e (wire form of the request)
//	{s3}:r:…             receipt: status, seq, time and the rest of the record
//	{s3}:rejected:0 :1   rejected receipts, two hashes that take turns, so their memory is bounded
//	{s3}:sale:7          hash: the sale and its counters      {s3}:sale:7:buyers  hash: units by buyer
//	{s3}:sale:7:holds    what is held, by pay_by              {s3}:sale:7:line    what waits, by its time: sorted sets of
//	                                                          members of 24 bytes, seq and receipt ID
//	{s3}:sale:7:forgotten   how often it was forgotten lately
//	{s3}:pace:1001       a buyer's theoretical arrival time   {s3}:owner          lease of the owner
//	{s3}:dead            dead letters: entries that could     {s3}:changed        channel of Apply
//	                     not be read or not be settled
//
// Anybody may Admit and read, Load a sale that is not there, and Forget one.
// Everything else is the owner's: it reads the stream behind its own watermark
// `applied` (there is no consumer group), asks what of the sales a batch may have
// to see (View), and makes the batch true once Postgres has it (Apply). An owner carries the epoch that
// Postgres gave it; a later epoch shuts it out. All atomic steps are the scripts in
// lua/, each with its contract.
package partition

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"sluice/internal/sale"
)

// What an owner may be told.
var (
	ErrFenced  = errors.New("fenced: the partition has a later owner")
	ErrBehind  = errors.New("behind: Redis lacks batches that Postgres has")
	ErrAhead   = errors.New("ahead: Redis has batches that Postgres lacks")
	ErrBroken  = errors.New("broken: the batch does not fit the projection")
	ErrStale   = errors.New("stale: Redis stands at another watermark")
	ErrLoading = errors.New("loading: Redis has no data of the partition")
)

// Bounds of what a partition remembers.
const (
	receiptGrace = 2 * time.Hour  // a decided receipt is kept this much longer than its sale sells; the promise is one hour
	saleGrace    = 3 * time.Hour  // a sale is kept this much longer than its refund window
	forgetGrace  = time.Hour      // a load that takes longer than this since its sale was forgotten is not refused
	rejectedMost = 1_000_000      // rejected receipts in each of the two hashes
	rejectedOld  = 24 * time.Hour // after which they take turns even if they are not full
)

// Store is the connection to all partitions. Its methods may be called
// concurrently.
type Store struct {
	n int

	requests redis.Cmdable // admission and reading: auto-pipelined, so many callers share round trips
	owners   *redis.Client // an owner's steps; never retried by the driver: the owner repeats a step itself
	leases   *redis.Client // leases and announcements, so that nothing big ever delays a renewal
	readers  *redis.Client // blocking reads, one connection each
	base     *redis.Client // under requests

	scripts map[string]script
	loads   singleflight.Group // of LoadFrom
}

// Options say how to reach Redis.
type Options struct {
	URL        string // redis://[:password@]host:port/db
	Partitions int    // 1 to sale.MaxPartitions; fixed for a deployment
	Hooks      []redis.Hook
}

// Open connects and checks that the server answers and takes the scripts.
func Open(ctx context.Context, o Options) (*Store, error) {
	base, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	base.DialTimeout, base.ReadTimeout, base.WriteTimeout = 2*time.Second, 2*time.Second, 2*time.Second
	base.DisableIdentity = true
	base.DialerRetries = 1 // who asks has retries of his own, and a queue behind him
	client := func(change func(*redis.Options)) *redis.Client {
		own := *base
		change(&own)
		c := redis.NewClient(&own)
		for _, hook := range o.Hooks {
			c.AddHook(hook)
		}
		return c
	}
	s := &Store{
		n: o.Partitions,
		base: client(func(r *redis.Options) {
			r.PoolSize, r.MaxRetries = 16, 2
		}),
		owners: client(func(r *redis.Options) {
			r.PoolSize, r.MaxRetries = o.Partitions+4, -1
		}),
		leases: client(func(r *redis.Options) {
			r.PoolSize, r.MaxRetries, r.ReadTimeout = 2, -1, time.Second
		}),
		readers: client(func(r *redis.Options) {
			r.PoolSize, r.MaxRetries, r.ReadTimeout = o.Partitions+4, -1, readBlock+2*time.Second
		}),
	}
	if s.requests, err = s.base.AutoPipeline(); err != nil {
		return nil, errors.Join(fmt.Errorf("pipeline to Redis: %w", err), s.Close())
	}
	if s.scripts, err = loadScripts(ctx, s.owners); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends every connection; blocked reads return.
func (s *Store) Close() error {
	return errors.Join(s.readers.Close(), s.base.Close(), s.leases.Close(), s.owners.Close())
}

// Partitions is how many partitions there are.
func (s *Store) Partitions() int { return s.n }

// Ping says whether Redis answers.
func (s *Store) Ping(ctx context.Context) error { return s.owners.Ping(ctx).Err() }

// The names of all keys.

func slot(p int) string              { return "{s" + strconv.Itoa(p) + "}" }
func streamKey(p int) string         { return slot(p) + ":log" }
func deadKey(p int) string           { return slot(p) + ":dead" }
func rejectedKey(p, turn int) string { return slot(p) + ":rejected:" + strconv.Itoa(turn) }
func receiptKey(p int, id uuid.UUID) string {
	return slot(p) + ":r:" + base64.RawURLEncoding.EncodeToString(id[:])
}
func saleKey(p int, sale int64) string { return slot(p) + ":sale:" + strconv.FormatInt(sale, 10) }
func forgottenKey(p int, sale int64) string {
	return saleKey(p, sale) + ":forgotten"
}

// What a sale has beside its hash.
const (
	buyersOf = ":buyers"
	holdsOf  = ":holds"
	lineOf   = ":line"
)

// saleKeys adds the four keys of a sale, in the order that every script has them.
func saleKeys(keys []string, p int, sale int64) []string {
	hash := saleKey(p, sale)
	return append(keys, hash, hash+buyersOf, hash+holdsOf, hash+lineOf)
}
func paceKey(p int, buyer int64) string { return slot(p) + ":pace:" + strconv.FormatInt(buyer, 10) }
func leaseKey(p int) string             { return slot(p) + ":owner" }
func channel(p int) string              { return slot(p) + ":changed" }

const (
	livingKey = "sluice:consumers"
	leadKey   = "sluice:scheduler"
)

//go:embed lua/*.lua
var sources embed.FS

// script is one of lua/, as the server knows it.
type script struct{ name, source, sha string }

// headers says what a script may do, for servers that understand (Redis 7 on).
// Admission is to be refused when memory is full; what an owner does is not,
// since that is how the backlog drains.
var headers = map[string]string{
	"admit": "#!lua\n", "view": "#!lua flags=no-writes,allow-oom\n", "receipt": "#!lua flags=no-writes,allow-oom\n",
	"sale": "#!lua flags=no-writes,allow-oom\n", "place": "#!lua flags=no-writes,allow-oom\n", "projection": "#!lua flags=no-writes,allow-oom\n",
	"load": "#!lua\n",
}

const ownerHeader = "#!lua flags=allow-oom\n"

// loadScripts gives the server every script.
func loadScripts(ctx context.Context, c *redis.Client) (map[string]script, error) {
	files, err := sources.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	scripts := map[string]script{}
	for _, file := range files {
		body, err := sources.ReadFile(path.Join("lua", file.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(file.Name(), ".lua")
		header, ok := headers[name]
		if !ok {
			header = ownerHeader
		}
		sc := script{name: name, source: header + string(body)}
		sc.sha, err = c.ScriptLoad(ctx, sc.source).Result()
		if refused := redis.Error(nil); errors.As(err, &refused) { // a server that does not know the first line
			sc.source = string(body)
			sc.sha, err = c.ScriptLoad(ctx, sc.source).Result()
		}
		if err != nil {
			return nil, fmt.Errorf("load script %s: %w", name, err)
		}
		scripts[name] = sc
	}
	return scripts, nil
}

// run runs a script. A server that has forgotten it (a restart, a failover) is
// given it again: every script is safe to repeat.
func (s *Store) run(ctx context.Context, c redis.Cmdable, name string, keys []string, args ...any) (any, error) {
	sc := s.scripts[name]
	answer, err := c.EvalSha(ctx, sc.sha, keys, args...).Result()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err := s.owners.ScriptLoad(ctx, sc.source).Err(); err != nil {
			return nil, fmt.Errorf("load script %s: %w", name, err)
		}
		answer, err = c.EvalSha(ctx, sc.sha, keys, args...).Result()
	}
	switch {
	case err == nil:
		return answer, nil
	case redis.HasErrorPrefix(err, "FENCED"):
		return nil, fmt.Errorf("%w (%s)", ErrFenced, err.Error())
	case redis.HasErrorPrefix(err, "BROKEN"):
		return nil, fmt.Errorf("%w (%s)", ErrBroken, err.Error())
	case redis.HasErrorPrefix(err, "OOM"): // only what adds is refused; the owner's scripts drain the backlog
		return nil, &sale.Refusal{Code: sale.RefusedOverload, RetryAfter: time.Second}
	case passes(err):
		return nil, fmt.Errorf("run script %s: %w: %w", name, sale.ErrUnavailable, err)
	}
	return nil, fmt.Errorf("run script %s: %w", name, err)
}

// passes says whether err is a state of the server or of the pool that ends by
// itself. Broken connections and time-outs say so of themselves.
func passes(err error) bool {
	for _, word := range []string{"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"} {
		if redis.HasErrorPrefix(err, word) {
			return true
		}
	}
	return errors.Is(err, redis.ErrPoolTimeout)
}

// unknown is the error for an answer that a script's contract does not have.
func unknown(name string, answer any) error {
	return fmt.Errorf("script %s gave an unknown answer: %.200v", name, answer)
}
