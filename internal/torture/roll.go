package torture

import (
	"context"
	"syscall"
	"time"

	"sluice/internal/process"
)

// rollOrder is that of a rolling update (docs/reliability.md).
var rollOrder = []string{process.RoleConsumer, process.RoleAPI, process.RoleScheduler}

// rounds of a rolling update: to this release, back to the one before, and forth again.
// In the second one consumers of the release before meet APIs of this one.
const rounds = 3

// roll exchanges the processes one by one while everybody asks and things break: each is
// told to stop and another one started in its place.
func (h *house) roll(ctx context.Context) error {
	if h.From == nil {
		return nil
	}
	var order []*worker
	for _, role := range rollOrder {
		for _, w := range h.fleet.workers {
			if w.role == role {
				order = append(order, w)
			}
		}
	}
	steps := rounds * len(order)
	for i := range steps {
		due := h.began.Add(h.Length * time.Duration(i+1) / time.Duration(steps+1))
		if err := wait(ctx, time.Until(due)); err != nil {
			return err
		}
		program := h.Program
		if i/len(order)%2 == 1 {
			program = h.From
		}
		if w := order[i%len(order)]; !h.Calm {
			w.renew(program)
		} else if err := h.exchange(ctx, w, program); err != nil {
			return err
		}
	}
	return nil
}

// renew has the process that is up stop in order; whatever follows is run by program.
func (w *worker) renew(program []string) {
	w.follow(program)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.process == nil || w.doomed {
		return // who comes next is the new one
	}
	w.doomed, w.rolled, w.rest = true, true, time.Millisecond
	_ = w.process.Signal(syscall.SIGTERM) // an error says that it is gone
}

// follow has whatever follows run by program.
func (w *worker) follow(program []string) {
	w.fleet.rolls.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.program = program
}
