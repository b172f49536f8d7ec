package torture

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/client"
	"sluice/internal/process"
)

// forGood is a rest from which nobody comes back.
const forGood = time.Hour

// of are the workers of a role.
func (f *fleet) of(role string) (found []*worker) {
	for _, w := range f.workers {
		if w.role == role {
			found = append(found, w)
		}
	}
	return found
}

// TestOneToEightConsumers: processes come, go in order, are killed, freeze and wake up
// again, and after each change those that live share evenly, while buyers ask. How long
// that took is told by -v.
func TestOneToEightConsumers(t *testing.T) {
	var took []string
	report := tortured(t, Options{Length: 25 * time.Second, Seed: 1, places: []int{2, 8, 1}, vacant: 7, story: func(ctx context.Context, h *house) error {
		c := h.fleet.of(process.RoleConsumer)
		frozen := map[*worker]func(){}
		freeze := func(w *worker) {
			if frozen[w] = w.pause(); frozen[w] == nil {
				t.Errorf("%s is not up", w.name)
				frozen[w] = func() {}
			}
		}
		kill := func(w *worker) {
			if !w.kill(forGood) {
				t.Errorf("%s is not up", w.name)
			}
		}
		return h.inside(ctx, func(eyes *process.Process) error {
			for _, change := range []struct {
				what   string
				happen func()
				living []*worker
			}{
				{"one is there", func() {}, c[:1]},
				{"1 → 2: one comes", func() { c[1].come() }, c[:2]},
				{"2 → 4: two come", func() { c[2].come(); c[3].come() }, c[:4]},
				{"4 → 8: four come", func() { c[4].come(); c[5].come(); c[6].come(); c[7].come() }, c},
				{"8 → 5: one is stopped, one killed, one frozen", func() { c[7].stop(); kill(c[6]); freeze(c[5]) }, c[:5]},
				{"5 → 6: the frozen one wakes up", func() { frozen[c[5]]() }, c[:6]},
				{"6 → 1: two are stopped, two killed, one frozen", func() { c[1].stop(); kill(c[2]); freeze(c[5]); kill(c[3]); c[4].stop() }, c[:1]},
				{"1 → 2: the frozen one wakes up", func() { frozen[c[5]]() }, []*worker{c[0], c[5]}},
			} {
				began := time.Now()
				change.happen()
				s, err := h.even(ctx, eyes, began, change.living)
				if err != nil {
					return err
				}
				took = append(took, fmt.Sprintf("%s: even after %.2f s", change.what, s))
				if err := wait(ctx, time.Second); err != nil { // it stays so while they work
					return err
				}
			}
			return nil
		})
	}})
	for _, line := range took {
		t.Log(line)
	}
	if !report.Clean() {
		t.Error("somebody was wronged")
	}
	if len(took) != 8 || report.Accepted < 50 {
		t.Errorf("%d changes, %d accepted: this proves nothing", len(took), report.Accepted)
	}
}

// TestOneSchedulerLeads: of three schedulers the one that leads is killed, then the next
// one frozen, and the last one stopped; each time another one leads, and who wakes up
// again does no harm. What schedulers bring about happens, and once.
func TestOneSchedulerLeads(t *testing.T) {
	var took []string
	report := tortured(t, Options{Length: 12 * time.Second, Seed: 1, places: []int{2, 2, 3}, story: func(ctx context.Context, h *house) error {
		goOn := func() {}
		defer func() { goOn() }()
		return h.inside(ctx, func(eyes *process.Process) error {
			leader := func() (*worker, error) {
				if _, err := h.even(ctx, eyes, time.Now(), h.fleet.workers); err != nil {
					return nil, err
				}
				now, err := eyes.Posts(ctx)
				i := slices.IndexFunc(h.fleet.workers, func(w *worker) bool { return w.name == now.Leader })
				if err != nil || i < 0 {
					return nil, fmt.Errorf("%q leads: %w", now.Leader, err)
				}
				return h.fleet.workers[i], nil
			}
			for _, change := range []struct {
				what   string
				happen func(*worker)
			}{
				{"killed", func(w *worker) { w.kill(forGood) }}, // it would lead on if it came back in time, under its name
				{"frozen", func(w *worker) { goOn = w.pause() }},
				{"stopped", func(w *worker) { goOn(); w.stop() }},
			} {
				led, err := leader()
				if err != nil {
					return err
				}
				began := time.Now()
				change.happen(led)
				for now := (process.Posts{Leader: led.name}); now.Leader == led.name || now.Leader == ""; {
					if now, err = eyes.Posts(ctx); err != nil {
						return err
					}
					if time.Since(began) > takenOverBy {
						return fmt.Errorf("%s is %s, and still leads after %s", led.name, change.what, takenOverBy)
					}
					if err := wait(ctx, lookEvery); err != nil {
						return err
					}
				}
				took = append(took, fmt.Sprintf("%s is %s: another one leads after %.2f s", led.name, change.what, time.Since(began).Seconds()))
			}
			return nil
		})
	}, after: func(ctx context.Context, c *crowd) error {
		type told struct {
			word    client.NoticeWord
			sale    int64
			receipt string
		}
		n := 0
		for _, who := range c.buyers {
			once := map[told]bool{}
			for notice, err := range who.api.Notices(ctx, false) {
				if err != nil {
					return err
				}
				// Of these one receipt may have many; time brings each about once.
				if this := (told{notice.Word, notice.Sale, notice.Receipt}); notice.Word == client.NoticeReminder || notice.Word == client.NoticeSoon {
					if n++; once[this] {
						t.Errorf("account %d is told twice: %+v", who.account, this)
					}
					once[this] = true
				}
			}
		}
		t.Logf("%d reminders", n)
		return nil
	}})
	for _, line := range took {
		t.Log(line)
	}
	if !report.Clean() {
		t.Error("somebody was wronged")
	}
	if len(took) != 3 || report.Accepted < 50 {
		t.Errorf("%d changes, %d accepted: this proves nothing", len(took), report.Accepted)
	}
}
