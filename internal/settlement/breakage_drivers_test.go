package settlement

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"sluice/internal/ledger"
	"sluice/internal/partition"
)

// process is what one process has of ours: its own connections to both stores, with
// a saboteur in both drivers. It dies as a process does: from one moment on nothing
// of it reaches a server, and its connections are closed.
type process struct {
	*saboteur
	store  *partition.Store
	ledger *ledger.Ledger
}

// manner is how an effect breaks.
type manner int

const (
	refused    manner = iota // the server does not do it, and says so
	lost                     // it is done, the connection ends before the reply
	diesBefore               // the process ends before it
	diesAfter                // the process ends after it
	stalls                   // the process stops before it and wakes up after somebody else has done its work
)

var manners = []manner{refused, lost, diesBefore, diesAfter, stalls}

func (m manner) String() string {
	return [...]string{"refused", "done, reply lost", "dies before it", "dies after it", "stalls before it"}[m]
}

// errDead is what a dead process would be told, if it could hear.
var errDead = errors.New("this process is dead")

// breaks is an effect that is to break once: the nth time from now on.
type breaks struct {
	effect string
	nth    int
	manner manner
	aside  func() // what happens while it stalls
}

// saboteur stands in the drivers of a process and knows every effect by name.
type saboteur struct {
	mu    sync.Mutex
	met   map[string]int // effects, and how often
	todo  []*breaks
	dead  bool
	wires map[*wire]bool

	shas     map[string]string // names of the scripts
	rewrites []rewrite
	instead  func(context.Context, redis.Cmder, redis.ProcessHook) redis.ProcessHook
}

// rewrite changes what a process believes to be right: one line of a script, or one
// clause of a statement.
type rewrite struct{ in, from, to string }

// newProcess starts one. Of one that stalls in a transaction Postgres thinks so long
// that it lives; 0: as long as of any other. A house's own connections never break.
func (h *house) newProcess(idle time.Duration, rewrites ...rewrite) *process {
	h.t.Helper()
	p := &process{saboteur: &saboteur{met: map[string]int{}, wires: map[*wire]bool{}, shas: map[string]string{}, rewrites: rewrites}}
	var err error
	p.store, err = partition.Open(h.ctx, partition.Options{URL: h.redis, Partitions: 1, Hooks: []redis.Hook{p.saboteur}})
	h.must(err)
	record := h.books()
	record.Tune = func(c *pgxpool.Config) {
		c.MaxConns = 4
		c.ConnConfig.TLSConfig, c.ConnConfig.Fallbacks = nil, nil
		c.ConnConfig.DialFunc = p.dial
		if idle > 0 {
			c.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt(idle.Milliseconds(), 10)
		}
	}
	p.ledger, err = ledger.Open(h.ctx, record)
	h.must(err)
	p.mu.Lock()
	clear(p.met)
	p.mu.Unlock()
	return p
}

// close ends a process in order, as far as it lives.
func (p *process) close() {
	p.store.Close()
	p.ledger.Close()
}

// will has an effect break; nil: nothing breaks any more.
func (s *saboteur) will(b *breaks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.todo = append(s.todo, b); b == nil {
		s.todo = nil
	}
}

// broke says whether it has broken.
func (s *saboteur) broke(b *breaks) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.Contains(s.todo, b)
}

// count answers how often an effect was met.
func (s *saboteur) count(effect string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.met[effect]
}

func (s *saboteur) isDead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

func (s *saboteur) die() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	for w := range s.wires {
		w.Conn.Close()
	}
}

// meet notes an effect that is about to happen, and answers how it breaks; nil when
// it does not.
func (s *saboteur) meet(effect string) *breaks {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		return &breaks{manner: diesBefore}
	}
	s.met[effect]++
	for i, b := range s.todo {
		if b.effect != effect {
			continue
		}
		if b.nth--; b.nth <= 0 {
			s.todo = slices.Delete(s.todo, i, i+1)
			return b
		}
	}
	return nil
}

// around lets an effect of Redis happen, or breaks it.
func (s *saboteur) around(effect string, do func() error) error {
	b := s.meet(effect)
	if b == nil {
		return do()
	}
	switch b.manner {
	case refused:
		return errRefused
	case lost:
		_ = do()
		return errLost
	case diesBefore:
		s.die()
		return errDead
	case diesAfter:
		_ = do()
		s.die()
		return errDead
	}
	b.aside()
	return do()
}

// named answers the name of a command's effect: that of its script, or its own.
func (s *saboteur) named(cmd redis.Cmder) (string, bool) {
	switch cmd.Name() {
	case "xread", "get":
		return cmd.Name(), true
	case "getex":
		return "keep", true
	case "evalsha":
		s.mu.Lock()
		defer s.mu.Unlock()
		name, ok := s.shas[cmd.Args()[1].(string)]
		return name, ok
	case "eval": // of a server that did not have the script
		if found := scriptName.FindStringSubmatch(cmd.Args()[1].(string)); found != nil {
			return found[1], true
		}
	}
	return "", false
}

var scriptName = regexp.MustCompile(`(?m)^-- (\w+)\.lua `)

// believed is a script as this process believes it to be, and its name.
func (s *saboteur) believed(source string) (rewritten, name string, err error) {
	found := scriptName.FindStringSubmatch(source)
	if found == nil {
		return "", "", fmt.Errorf("a script without a name: %.80q", source)
	}
	for _, r := range s.rewrites {
		if r.in != found[1]+".lua" {
			continue
		}
		if strings.Count(source, r.from) != 1 {
			return "", "", fmt.Errorf("%s has not one %q", r.in, r.from)
		}
		source = strings.Replace(source, r.from, r.to, 1)
	}
	return source, found[1], nil
}

// learn gives a script to the server, with its rewrites, and remembers its name.
func (s *saboteur) learn(ctx context.Context, cmd redis.Cmder, next redis.ProcessHook) error {
	source, name, err := s.believed(cmd.Args()[2].(string))
	if err != nil {
		return err
	}
	cmd.Args()[2] = source
	err = next(ctx, cmd)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shas[cmd.(*redis.StringCmd).Val()] = name
	return err
}

// ProcessHook breaks single commands.
func (s *saboteur) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		var err error
		if cmd.Name() == "eval" {
			if cmd.Args()[1], _, err = s.believed(cmd.Args()[1].(string)); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		if cmd.Name() == "script" && len(cmd.Args()) == 3 {
			err = s.learn(ctx, cmd, next)
		} else if effect, ok := s.named(cmd); ok {
			do := next
			if s.instead != nil {
				do = s.instead(ctx, cmd, next)
			}
			err = s.around(effect, func() error { return do(ctx, cmd) })
		} else if s.isDead() {
			err = errDead
		} else {
			return next(ctx, cmd)
		}
		if err != nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// ProcessPipelineHook breaks what is sent together: leases that are kept.
func (s *saboteur) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		do := func() error { return next(ctx, cmds) }
		if s.isDead() {
			do = func() error { return errDead }
		}
		for _, cmd := range cmds {
			if effect, ok := s.named(cmd); ok {
				inner := do
				do = func() error { return s.around(effect, inner) }
			}
		}
		err := do()
		if errors.Is(err, errDead) || errors.Is(err, errRefused) || errors.Is(err, errLost) {
			for _, cmd := range cmds {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// DialHook changes nothing: what a process says is broken, not how it gets there.
func (s *saboteur) DialHook(next redis.DialHook) redis.DialHook { return next }

// TestRewriteMustFit: a twin whose line is gone from its script is no twin.
func TestRewriteMustFit(t *testing.T) {
	h := newHouse(t)
	s := &saboteur{met: map[string]int{}, shas: map[string]string{}, rewrites: []rewrite{{"apply.lua", "no such line", ""}}}
	if store, err := partition.Open(h.ctx, partition.Options{URL: h.redis, Partitions: 1, Hooks: []redis.Hook{s}}); err == nil {
		store.Close()
		t.Error("a script was changed where it could not be")
	}
}
