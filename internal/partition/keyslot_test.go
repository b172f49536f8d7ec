package partition

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"sluice/internal/embedded"
)

func TestKeySlot(t *testing.T) {
	if got := keySlot("123456789"); got != 0x31C3 { // the example of the specification
		t.Errorf("the slot of the example is %#x", got)
	}
	for _, key := range []string{"", "a", "{s3}", "{s4095}:log", "{}x", "{", "}{a}", "a{b}c{d}", "sluice:consumers", "{s3}:r:{}"} {
		if got, want := keySlot(key), embedded.Slot(key); got != want {
			t.Errorf("%q is in slot %d, want %d", key, got, want)
		}
	}
	if keySlot(slot(3)) != keySlot(channel(3)) || keySlot(slot(3)) != keySlot(saleKey(3, 7)) || keySlot(slot(3)) == keySlot(slot(4)) {
		t.Error("the keys of a partition are not in one slot, or those of two are")
	}
}

// oneSlot is a hook that notes what has keys of two slots in one command.
type oneSlot struct {
	mu    sync.Mutex
	seen  int
	wrong []string
}

// check notes what of cmd is wrong. Only commands of ours have words that look like keys.
func (o *oneSlot) check(cmd redis.Cmder) {
	args := cmd.Args()
	var keys []any
	switch name := strings.ToLower(fmt.Sprint(args[0])); name {
	case "evalsha", "eval":
		n, _ := strconv.Atoi(fmt.Sprint(args[2]))
		keys = args[3 : 3+n]
	case "hmget", "get", "getex", "xrange", "xdel", "exists", "xlen":
		keys = args[1:2]
	case "xread":
		for i, word := range args {
			if word == "streams" {
				keys = args[i+1 : i+1+(len(args)-i-1)/2]
			}
		}
	default:
		return
	}
	slots := map[int]bool{}
	for _, key := range keys {
		slots[keySlot(fmt.Sprint(key))] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen++; len(slots) != 1 {
		o.wrong = append(o.wrong, fmt.Sprintf("%v has keys of %d slots: %v", args[0], len(slots), keys))
	}
}

func (o *oneSlot) DialHook(next redis.DialHook) redis.DialHook { return next }

func (o *oneSlot) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		o.check(cmd)
		return next(ctx, cmd)
	}
}

func (o *oneSlot) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			o.check(cmd)
		}
		return next(ctx, cmds)
	}
}

// allSlots watches every store that the tests of this package open.
var allSlots oneSlot

// TestOneSlotFindsOut is the known-bad twin.
func TestOneSlotFindsOut(t *testing.T) {
	var watch oneSlot
	for _, bad := range [][]any{
		{"evalsha", "sha", 2, "{s1}", "{s2}:log", "x"},
		{"eval", "source", "2", "{s1}", "plain"},
		{"xread", "count", 1, "streams", "{s1}:log", "{s2}:log", "0", "0"},
	} {
		watch.check(redis.NewCmd(t.Context(), bad...))
	}
	watch.check(redis.NewCmd(t.Context(), "evalsha", "sha", 2, "{s1}", "{s1}:log", "{s2}"))
	if len(watch.wrong) != 3 || watch.seen != 4 {
		t.Errorf("of 4 commands, 3 of them wrong, %d were seen and %q found", watch.seen, watch.wrong)
	}
}
