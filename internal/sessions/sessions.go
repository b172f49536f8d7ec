// Package sessions keeps in Redis who is signed in, and how often somebody has
// tried to be.
//
//	sluice:session:<name>      hash: account, role, stamp, secret      ends with its refresh token
//	sluice:sessions:<account>  sorted set: names of its sessions, by the ms at which they end
//	sluice:throttle:<hash>     attempts in a window
//
// In a Redis Cluster all that is of one account stands in one slot: before a name and an
// account stands one of 256 tags, as in sluice:session:{a7}:<name>. The first byte of a
// family is that of its account's tag then, so that a token alone leads there.
//
// A session is a family of refresh tokens of which one is current. Rotating
// makes the next one current; whoever shows a former one ends the family, since
// then two hold what only one should have:
//
//	Start ─▶ current ──Rotate──▶ current ──Rotate──▶ …
//	            │  a former token, End, EndAll, EndOthers, or Life without use
//	            ▼
//	          ended
//
// A token is the family (16 random bytes) and a secret (32), and Redis never
// holds either: a session is named by a hash of its family, so that neither a
// copy of Redis nor the name, which travels in access tokens, can be made into a
// token. All atomic steps are the scripts in lua/, each safe to repeat: the
// driver repeats those whose answer was lost.
package sessions

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/redisurl"
	"sluice/internal/sale"
)

// Life is how long a refresh token may be used.
const Life = 7 * 24 * time.Hour

// most is how many sessions an account may have. One more ends the one that was
// not used for the longest time.
const most = 100

// Why there is no session.
var (
	ErrUnknown  = errors.New("there is no such session")
	ErrReplayed = errors.New("a former token was used: the session is ended")
)

// Session is who is signed in.
type Session struct {
	Account int64
	Role    string
	Stamp   string // of what it was started with, for whoever started it; not looked at here
}

// Store is the connection to all sessions. Its methods may be called
// concurrently.
type Store struct {
	redis   redis.UniversalClient
	tagged  bool // the keys are: it is a cluster
	scripts map[string]*redis.Script
}

// Options say how to reach Redis.
type Options struct {
	URL   string                                                            // as redisurl reads it
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error) // opens the connections; nil: the driver does
	Hooks []redis.Hook
}

// Open connects and checks that Redis answers.
func Open(ctx context.Context, o Options) (*Store, error) {
	target, err := redisurl.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the Redis URL: %w", err)
	}
	target.Dial = o.Dial
	s := &Store{tagged: target.Mode == redisurl.Cluster}
	s.redis = target.Client(func(r *redis.UniversalOptions) {
		r.DialTimeout, r.ReadTimeout, r.WriteTimeout = 2*time.Second, 2*time.Second, 2*time.Second
		r.DialerRetries = 1
		if r.PoolSize, r.MaxRetries = 16, 2; s.tagged { // the client of a cluster repeats by itself, and may find the slot elsewhere
			r.MaxRetries, r.MaxRedirects = -1, 2
			r.DialTimeout, r.ReadTimeout, r.WriteTimeout = time.Second, time.Second, time.Second
		}
	})
	if s.scripts, err = readScripts(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, hook := range o.Hooks {
		if cluster, ok := s.redis.(*redis.ClusterClient); ok {
			cluster.OnNewNode(func(node *redis.Client) { node.AddHook(hook) })
		} else {
			s.redis.AddHook(hook)
		}
	}
	if err := s.redis.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to Redis: %w", err), s.Close())
	}
	return s, nil
}

// Close ends every connection.
func (s *Store) Close() error { return s.redis.Close() }

// Start begins a session and answers its first refresh token.
func (s *Store) Start(ctx context.Context, of Session) (refresh string, err error) {
	t := newToken()
	if s.tagged {
		t.family[0] = bucketOf(of.Account)
	}
	answer, err := s.run(ctx, "start", []string{s.sessionKey(bucketOf(of.Account), t.name()), s.sessionsKey(of.Account)},
		t.name(), of.Account, of.Role, of.Stamp, t.sum(), Life.Milliseconds(), most)
	if err != nil {
		return "", err
	}
	ended, ok := answer.([]any)
	if !ok {
		return "", unknown("start", answer)
	}
	if err := s.forget(ctx, of.Account, ended); err != nil {
		return "", err
	}
	return t.encode(), nil
}

// Find answers whose family a token is of, current or not; ErrUnknown when it is
// of none.
func (s *Store) Find(ctx context.Context, refresh string) (Session, error) {
	t, ok := parseToken(refresh)
	if !ok {
		return Session{}, ErrUnknown
	}
	return s.find(ctx, t)
}

func (s *Store) find(ctx context.Context, t token) (of Session, err error) {
	fields, err := s.redis.HMGet(ctx, s.sessionKey(t.family[0], t.name()), "account", "role", "stamp").Result()
	if err != nil {
		return of, fault("find a session", err)
	}
	if len(fields) != 3 {
		return of, unknown("find a session", fields)
	}
	account, ok := fields[0].(string)
	if !ok {
		return of, ErrUnknown
	}
	if of.Account, err = strconv.ParseInt(account, 10, 64); err != nil {
		return of, errors.New("find a session: its account is no number")
	}
	of.Role, _ = fields[1].(string)
	of.Stamp, _ = fields[2].(string)
	return of, nil
}

// Rotate takes a session's current refresh token for the next one. ErrUnknown when
// there is no such session (any more); ErrReplayed when the token is a former one:
// then the session is ended.
func (s *Store) Rotate(ctx context.Context, refresh string) (of Session, next string, err error) {
	t, ok := parseToken(refresh)
	if !ok {
		return of, "", ErrUnknown
	}
	if of, err = s.find(ctx, t); err != nil {
		return of, "", err
	}
	fresh := t.next()
	answer, err := s.run(ctx, "rotate", []string{s.sessionKey(t.family[0], t.name()), s.sessionsKey(of.Account)},
		t.name(), t.sum(), fresh.sum(), Life.Milliseconds())
	switch {
	case err != nil:
		return Session{}, "", err
	case answer == "rotated":
		return of, fresh.encode(), nil
	case answer == "replayed":
		return Session{}, "", ErrReplayed
	case answer == "unknown":
		return Session{}, "", ErrUnknown
	}
	return Session{}, "", unknown("rotate", answer)
}

// End ends the session of a token, current or not. That there is none is no
// error.
func (s *Store) End(ctx context.Context, refresh string) error {
	t, ok := parseToken(refresh)
	if !ok {
		return nil
	}
	of, err := s.find(ctx, t)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.end(ctx, of.Account, t.name())
}

// EndAll ends every session of an account.
func (s *Store) EndAll(ctx context.Context, account int64) error {
	return s.EndOthers(ctx, account, "", "")
}

// EndOthers ends every session of an account but the one called name, which goes
// on under a new stamp.
func (s *Store) EndOthers(ctx context.Context, account int64, name, stamp string) error {
	if name != "" {
		answer, err := s.run(ctx, "restamp", []string{s.sessionKey(bucketOf(account), name)}, account, stamp)
		if err != nil {
			return err
		}
		if answer != "stamped" && answer != "unknown" {
			return unknown("restamp", answer)
		}
	}
	all, err := s.redis.ZRange(ctx, s.sessionsKey(account), 0, -1).Result()
	if err != nil {
		return fault("list an account's sessions", err)
	}
	var others []string
	for _, other := range all {
		if other != name {
			others = append(others, other)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return s.end(ctx, account, others...)
}

// end forgets the sessions first: should the rest fail, only names are left.
func (s *Store) end(ctx context.Context, account int64, names ...string) error {
	all := make([]any, len(names))
	for i, name := range names {
		all[i] = name
	}
	if err := s.forget(ctx, account, all); err != nil {
		return err
	}
	if err := s.redis.ZRem(ctx, s.sessionsKey(account), all...).Err(); err != nil {
		return fault("end sessions", err)
	}
	return nil
}

func (s *Store) forget(ctx context.Context, account int64, names []any) error {
	if len(names) == 0 {
		return nil
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = s.sessionKey(bucketOf(account), fmt.Sprint(name))
	}
	if err := s.redis.Unlink(ctx, keys...).Err(); err != nil {
		return fault("end sessions", err)
	}
	return nil
}

// The names of all keys.

func (s *Store) sessionKey(bucket byte, name string) string {
	return "sluice:session:" + s.tag(bucket) + name
}

func (s *Store) sessionsKey(account int64) string {
	return "sluice:sessions:" + s.tag(bucketOf(account)) + strconv.FormatInt(account, 10)
}

// bucketOf is which of the tags an account has.
func bucketOf(account int64) byte { return byte(account) }

func (s *Store) tag(bucket byte) string {
	if !s.tagged {
		return ""
	}
	return "{a" + strconv.Itoa(int(bucket)) + "}:"
}

func throttleKey(what string) string {
	sum := sha256.Sum256([]byte(what))
	return "sluice:throttle:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

//go:embed lua/*.lua
var sources embed.FS

// readScripts answers the scripts of lua/ by name.
func readScripts() (map[string]*redis.Script, error) {
	files, err := sources.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	scripts := map[string]*redis.Script{}
	for _, file := range files {
		body, err := sources.ReadFile(path.Join("lua", file.Name()))
		if err != nil {
			return nil, err
		}
		scripts[strings.TrimSuffix(file.Name(), ".lua")] = redis.NewScript(string(body))
	}
	return scripts, nil
}

// run runs a script; a server that has forgotten it is given it again.
func (s *Store) run(ctx context.Context, name string, keys []string, args ...any) (any, error) {
	answer, err := s.scripts[name].Run(ctx, s.redis, keys, args...).Result()
	if err != nil {
		return nil, fault("run script "+name, err)
	}
	return answer, nil
}

// fault says what was being done, and whether the cause is a state of the server
// that ends by itself. Broken connections and time-outs say so of themselves.
func fault(doing string, err error) error {
	for _, word := range []string{"OOM", "LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS", "MOVED", "ASK"} {
		if redis.HasErrorPrefix(err, word) {
			return fmt.Errorf("%s: %w: %w", doing, sale.ErrUnavailable, err)
		}
	}
	// Two of the driver's errors have no name: a cluster without nodes, all Sentinels away.
	if errors.Is(err, redis.ErrPoolTimeout) || strings.HasPrefix(err.Error(), "redis: ") && !errors.Is(err, redis.Nil) && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("%s: %w: %w", doing, sale.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// unknown is the error for an answer that a script's contract does not have.
func unknown(name string, answer any) error {
	return fmt.Errorf("script %s gave an unknown answer of type %T", name, answer)
}
