package partition

import (
	"context"
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/sale"
)

// says is a hook by which a server answers everything with one error.
type says struct{ err error }

func (says) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s *says) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if s.err != nil {
			cmd.SetErr(s.err)
			return s.err
		}
		return next(ctx, cmd)
	}
}

func (s *says) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if s.err != nil {
				cmd.SetErr(s.err)
			}
		}
		if s.err != nil {
			return s.err
		}
		return next(ctx, cmds)
	}
}

// said is an error as a server answers it.
type said string

func (e said) Error() string { return string(e) }
func (said) RedisError()     {}

// TestFaultsOfServersPass: a state that ends by itself is told as one, whoever asks, and any
// other is not.
func TestFaultsOfServersPass(t *testing.T) {
	server := &says{}
	f := over(t, embeddedtest.RedisServer(t).URL, server)
	f.start()
	for err, passes := range map[error]bool{
		said("MOVED 7 127.0.0.1:1"):                                               true,
		said("ASK 7 127.0.0.1:1"):                                                 true,
		said("CLUSTERDOWN The cluster is down"):                                   true,
		said("CLUSTERDOWN Hash slot not served"):                                  true,
		said("TRYAGAIN Multiple keys request during rehashing"):                   true,
		said("READONLY You can't write against a read only replica."):             true,
		said("LOADING Redis is loading the dataset in memory"):                    true,
		said("MASTERDOWN Link with MASTER is down"):                               true,
		said("UNBLOCKED force unblock from blocking operation"):                   true,
		said("NOREPLICAS Not enough good replicas to write."):                     true,
		said("BUSY Redis is busy running a script."):                              true,
		redis.ErrPoolTimeout:                                                      true,
		errAway:                                                                   true,
		errNobody:                                                                 true,
		said("CROSSSLOT Keys in request don't hash to the same slot"):             false, // our own fault
		said("WRONGTYPE Operation against a key holding the wrong kind of value"): false,
		errors.New("something else"):                                              false,
	} {
		server.err = err
		for who, ask := range map[string]func() error{
			"admit":   func() error { _, err := f.Admit(f.ctx, p, bid(1001, 1), Selling, unlimited); return err },
			"receipt": func() error { _, err := f.Receipt(f.ctx, p, bid(1001, 1).Receipt); return err },
			"sale":    func() error { _, _, err := f.Sale(f.ctx, p, 7); return err },
			"chances": func() error { _, err := f.Chances(f.ctx, p, 7); return err },
			"peek":    func() error { _, err := f.Peek(f.ctx, p, sale.EntryID{}, 1); return err },
			"read":    func() error { _, err := f.Read(f.ctx, p, sale.EntryID{}, 1); return err },
			"lead":    func() error { _, err := f.Lead(f.ctx, p, 1, 1); return err },
			"hold":    func() error { _, err := f.Hold(f.ctx, p, "me"); return err },
			"dead":    func() error { _, err := f.DeadList(f.ctx, p, sale.EntryID{}, 1); return err },
		} {
			got := ask()
			if got == nil || errors.Is(got, sale.ErrUnavailable) != passes {
				t.Errorf("%s is told %v, which passes: %t", who, got, passes)
			}
		}
	}
}
