// Package partition keeps the hot half of Sluice in Redis: one hash slot per
// partition, with a stream of admitted requests and everything they touch.
//
//	{s3}                 hash: epoch, generation, applied, applied_seq, applied_at, seq, since, clock, drain; promised (the
//	                     last turn of who was refused); run, mark (which server the owner trusts); lost, rebuilt (when
//	                     data may have gone, and all of it had)
//	{s3}:log             stream: q (seq), g (generation), e (wire form of the request)
//	{s3}:r:…             receipt: status, seq, time and the rest of the record
//	{s3}:rejected:0 :1   rejected receipts, two hashes that take turns, so their memory is bounded; mostly brief (brief.go)
//	{s3}:sale:7          hash: the sale and its counters; pace, line_left, line_since: what of it goes how fast
//	                                                          {s3}:sale:7:buyers  hash: units by buyer
//	{s3}:sale:7:holds    what is held, by pay_by              {s3}:sale:7:line    what waits, by its time: sorted sets of
//	                                                          members of 24 bytes, seq and receipt ID
//	{s3}:sale:7:forgotten   how often it was forgotten lately
//	{s3}:pace:1001       a buyer's theoretical arrival time   {s3}:owner          lease of the owner
//	{s3}:dead            dead letters: entries that could     {s3}:changed        channel of Apply
//	                     not be read or not be settled
//	sluice:consumers     the living, by when they were heard  sluice:shares       channel: who came, went, gave back
//	sluice:scheduler     lead of the schedulers               a lease
//	sluice:reads:brief   channel that who reads brief rejections hears, beside those of Apply; nothing is said there
//
// Anybody may Admit and read, Load a sale that is not there, and Forget one.
// Everything else is the owner's: it reads the stream behind its own watermark
// `applied` (there is no consumer group), asks what of the sales a batch may have
// to see (View), and makes the batch true once Postgres has it (Apply). An owner carries the epoch that
// Postgres gave it; a later epoch shuts it out. All atomic steps are the scripts in
// lua/, each with its contract.
//
// A Redis that has started again, or that took over, may hold older data. Until its
// owner has brought that to where Postgres stands (Trust), Admit and Receipt answer
// loading.
//
// Admissions and reads of one partition that come at the same time are put to Redis in one call (desk.go): what they have
// in common is read once, and a crowd costs Redis a third of what it would one by one.
package partition

import (
	"context"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"

	"sluice/internal/redisurl"
	"sluice/internal/sale"
)

// What an owner may be told.
var (
	ErrFenced  = errors.New("fenced: the partition has a later owner")
	ErrBehind  = errors.New("behind: Redis lacks batches that Postgres has")
	ErrAhead   = errors.New("ahead: Redis has batches that Postgres lacks")
	ErrBroken  = errors.New("broken: the batch does not fit the projection")
	ErrStrange = errors.New("strange: the batch is true, at a server that has started again or taken over, and that nobody has trusted yet")
	ErrStale   = errors.New("stale: Redis stands at another watermark")
	ErrLoading = errors.New("loading: Redis has no data of the partition")

	// Told to who asks for something.
	ErrForgotten = errors.New("forgotten: Redis was rebuilt, and only Postgres knows whether it had the receipt")
)

// Bounds of what a partition remembers.
const (
	receiptGrace = 2 * time.Hour  // a decided receipt is kept this much longer than its sale sells; the promise is one hour
	saleGrace    = 3 * time.Hour  // a sale is kept this much longer than its refund window
	forgetGrace  = time.Hour      // a load that takes longer than this since its sale was forgotten is not refused
	RejectedMost = 1_000_000      // rejected receipts in each of the two hashes
	rejectedOld  = 24 * time.Hour // after which they take turns even if they are not full
)

// Store is the connection to all partitions. Its methods may be called
// concurrently.
type Store struct {
	n    int
	mode redisurl.Mode

	desks    []desks   // by partition: admission and receipts, many of a partition in one call
	base     *link     // what they ask
	requests *link     // other reading: over the same connections, auto-pipelined, so many callers share round trips
	owners   *link     // an owner's steps; never retried by the driver: the owner repeats a step itself
	leases   *link     // leases and announcements, so that nothing big ever delays a renewal
	readers  *link     // listening to what is told, and feeling pulses
	blocking *blocking // reading of the streams, one connection each

	topology *topology // of a cluster; else nil
	sharded  bool      // announcements are for those alone who hear their slot

	scripts    map[string]script
	loads      singleflight.Group // of LoadFrom
	durability durability
	brief      brief
}

// Options say how to reach Redis.
type Options struct {
	URL        string                                                            // as redisurl reads it
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error) // opens the connections; nil: the driver does
	Partitions int                                                               // 1 to sale.MaxPartitions; fixed for a deployment
	Hooks      []redis.Hook
}

// Open connects and checks that the server answers and takes the scripts.
func Open(ctx context.Context, o Options) (*Store, error) {
	target, err := redisurl.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	target.Dial = o.Dial
	s := &Store{n: o.Partitions, mode: target.Mode}
	if target.Mode == redisurl.Cluster {
		if s.topology, err = newTopology(ctx, target); err != nil {
			return nil, err
		}
	}
	tuned := func(tune func(*redis.UniversalOptions)) func(*redis.UniversalOptions) {
		return func(r *redis.UniversalOptions) {
			r.DialTimeout, r.ReadTimeout, r.WriteTimeout = 2*time.Second, 2*time.Second, 2*time.Second
			r.DialerRetries = 1 // who asks has retries of his own, and a queue behind him
			tune(r)
		}
	}
	for _, l := range []struct {
		of   **link
		tune func(*redis.UniversalOptions)
	}{
		{&s.base, func(r *redis.UniversalOptions) {
			if r.PoolSize, r.MaxRetries = 16, 2; s.topology != nil {
				r.MaxRetries = 1 // a connection that has died unseen; else another server may be asked by then
			}
		}},
		{&s.owners, func(r *redis.UniversalOptions) {
			r.PoolSize, r.MaxRetries = 2*o.Partitions+4, -1 // a batch comes into view while the next is viewed
		}},
		{&s.leases, func(r *redis.UniversalOptions) {
			if r.PoolSize, r.MaxRetries, r.ReadTimeout = 2, -1, time.Second; s.topology != nil {
				r.DialTimeout, r.ReadTimeout, r.WriteTimeout = nodePatience, nodePatience, nodePatience
			}
		}},
		{&s.readers, func(r *redis.UniversalOptions) {
			r.PoolSize, r.MaxRetries = 4, -1
		}},
	} {
		if *l.of, err = newLink(target, s.topology, o.Hooks, l.of == &s.base, tuned(l.tune)); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	s.requests = s.base.pipelined()
	s.openDesks()
	s.blocking = newBlocking(serversOf(target, s.topology, o.Hooks, tuned(func(r *redis.UniversalOptions) {
		r.PoolSize, r.MaxRetries, r.ReadTimeout = 1, -1, readBlock+2*time.Second
	})))
	if s.topology != nil {
		s.topology.whenGone(s.blocking.drop)
	}
	if s.scripts, err = s.loadScripts(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if target.Mode == redisurl.Server {
		s.durability.watch(s.owners.conns.one.Client)
	} else { // a replica may take over, which has not all that its master has on disk; and nobody of the release before is here
		s.brief.always = true
	}
	return s, nil
}

// Close ends every connection; blocked reads return.
func (s *Store) Close() (err error) {
	defer s.durability.close()
	if s.blocking != nil {
		s.blocking.end()
	}
	for _, l := range []*link{s.readers, s.base, s.leases, s.owners} {
		if l != nil {
			err = errors.Join(err, l.conns.close())
		}
	}
	if s.topology != nil {
		s.topology.close()
	}
	return err
}

// Partitions is how many partitions there are.
func (s *Store) Partitions() int { return s.n }

// nodePatience is how long is waited for one server of a cluster where several are asked.
const nodePatience = 500 * time.Millisecond

// Ping says whether Redis answers: of a cluster any server that has slots. One that does not
// concerns its own partitions only.
func (s *Store) Ping(ctx context.Context) (err error) {
	ping := func(ctx context.Context, c *redis.Client, _ []int) (string, error) { return c.Ping(ctx).Result() }
	for _, a := range eachServer(ctx, s.owners, nodePatience, ping) {
		if a.err == nil {
			return nil
		}
		err = errors.Join(err, a.err)
	}
	return err
}

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

//go:embed lua
var sources embed.FS

// script is one of lua/, as the server knows it.
type script struct{ name, source, sha string }

// headers says what a script may do, for servers that understand (Redis 7 on).
// Admission is to be refused when memory is full; what an owner does is not,
// since that is how the backlog drains.
var headers = map[string]string{
	"admit": "#!lua\n", "view": "#!lua flags=no-writes,allow-oom\n", "receipt": "#!lua flags=no-writes,allow-oom\n",
	"sale": "#!lua flags=no-writes,allow-oom\n", "missing": "#!lua flags=no-writes,allow-oom\n", "place": "#!lua flags=no-writes,allow-oom\n", "projection": "#!lua flags=no-writes,allow-oom\n",
	"glimpse": "#!lua flags=no-writes,allow-oom\n", "load": "#!lua\n",
}

const ownerHeader = "#!lua flags=allow-oom\n"

// shared are the files of lua/shared, which are put before the scripts that use them.
var shared = []struct {
	name string
	used *regexp.Regexp
}{
	{"server", regexp.MustCompile(`\b(same_server|server_run|server_mark)\(`)},
	{"stalled", regexp.MustCompile(`\bstalled\(`)},
}

// loadScripts gives every script to the server, or to those of a cluster: to one that answers
// for certain, which tells whether it takes them.
func (s *Store) loadScripts(ctx context.Context) (map[string]script, error) {
	c, err := s.anybody(ctx)
	if err != nil {
		return nil, err
	}
	if s.topology != nil {
		known, err := c.Do(ctx, "command", "info", "spublish").Slice()
		if err != nil {
			return nil, fmt.Errorf("ask how the cluster announces: %w", err)
		}
		s.sharded = len(known) == 1 && known[0] != nil
	}
	files, err := sources.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	scripts := map[string]script{}
	for _, file := range files {
		if file.IsDir() {
			continue
		}
		body, err := sources.ReadFile(path.Join("lua", file.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(file.Name(), ".lua")
		for _, before := range shared {
			if !before.used.Match(body) {
				continue
			}
			part, err := sources.ReadFile("lua/shared/" + before.name + ".lua")
			if err != nil {
				return nil, err
			}
			body = slices.Concat(part, body)
		}
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
	if s.topology != nil { // who does not take them now is sent each when he is asked for it
		eachServer(ctx, s.owners, nodePatience, func(ctx context.Context, c *redis.Client, _ []int) ([]redis.Cmder, error) {
			return c.Pipelined(ctx, func(pipe redis.Pipeliner) error {
				for _, sc := range scripts {
					pipe.ScriptLoad(ctx, sc.source)
				}
				return nil
			})
		})
	}
	return scripts, nil
}

// anybody answers the connections to the server, or to one of a cluster that answers; of
// that it finds out whether announcements may go to those alone who hear a slot.
func (s *Store) anybody(ctx context.Context) (*redis.Client, error) {
	if one := s.owners.conns.one; one != nil {
		return one.Client, nil
	}
	fault := errNobody
	for _, a := range eachServer(ctx, s.owners, 2*time.Second, func(ctx context.Context, c *redis.Client, _ []int) (*redis.Client, error) {
		return c, c.Ping(ctx).Err()
	}) {
		if a.err == nil {
			return a.value, nil
		}
		fault = a.err
	}
	return nil, fmt.Errorf("connect to the cluster: %w", fault)
}

// run runs a script at the server of its keys. One that does not have it (it has started
// again, taken over, or joined) is given its source: every script is safe to repeat.
func (s *Store) run(ctx context.Context, l *link, name string, keys []string, args ...any) (any, error) {
	sc := s.scripts[name]
	words := make([]any, 3, 3+len(keys)+len(args))
	words[0], words[1], words[2] = "evalsha", sc.sha, len(keys)
	for _, key := range keys {
		words = append(words, key)
	}
	words = append(words, args...)
	cmd := redis.NewCmd(ctx, words...)
	err := l.do(ctx, keys[0], cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		words[0], words[1] = "eval", sc.source
		cmd = redis.NewCmd(ctx, words...)
		err = l.do(ctx, keys[0], cmd)
	}
	answer := cmd.Val()
	switch {
	case err == nil:
		return answer, nil
	case redis.HasErrorPrefix(err, "FENCED"):
		return nil, fmt.Errorf("%w (%s)", ErrFenced, err.Error())
	case redis.HasErrorPrefix(err, "BROKEN"):
		return nil, fmt.Errorf("%w (%s)", ErrBroken, err.Error())
	case redis.HasErrorPrefix(err, "OOM"): // only what adds is refused; the owner's scripts drain the backlog
		return nil, &sale.Refusal{Code: sale.RefusedOverload, RetryAfter: time.Second}
	}
	return nil, fault("run script "+name, err)
}

// fault is err of what was being done, and whether that passes.
func fault(doing string, err error) error {
	if passes(err) {
		return fmt.Errorf("%s: %w: %w", doing, sale.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// passing are states of a server that end by themselves, and a slot that is elsewhere by
// now, or on its way.
var passing = []string{"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "UNBLOCKED", "NOREPLICAS", "MOVED", "ASK"}

// passes says whether err is a state of the server, of the cluster or of the pool that ends
// by itself. Broken connections and time-outs say so of themselves.
func passes(err error) bool {
	for _, word := range passing {
		if redis.HasErrorPrefix(err, word) {
			return true
		}
	}
	for _, state := range []error{redis.ErrPoolTimeout, redis.ErrClosed, errNobody, errAway, errElsewhere} {
		if errors.Is(err, state) {
			return true
		}
	}
	return false
}

// unknown is the error for an answer that a script's contract does not have.
func unknown(name string, answer any) error {
	return fmt.Errorf("script %s gave an unknown answer: %.200v", name, answer)
}
