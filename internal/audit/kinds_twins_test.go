package audit_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/audit"
	"sluice/internal/sale"
)

// TestKindsTwins has owners who see the line and the holds as they are not, as
// TestTwins has those who see other units.
func TestKindsTwins(t *testing.T) {
	h, now := begin(t)
	h.kinds(now)
	kept := h.backup()
	// Of the chairs d holds one, e and f wait in this order.
	holds := func(h *house) (id uuid.UUID) {
		h.must(h.pg.QueryRow(t.Context(), `select id from receipts where sale = $1 and status = 'held'`, chairs).Scan((*[16]byte)(&id)))
		return id
	}
	run := func(name, want string, twin func(h *house) sale.Batch) {
		t.Run(name, func(t *testing.T) {
			h := kept.restore(t)
			done := twin(h)
			h.must(h.store.Apply(t.Context(), done.Epoch, done, 0))
			h.wants(verdictOf(want), want)
		})
	}
	cancel := func(h *house, view *sale.Stand) sale.Batch {
		return h.settle(0, sale.State{chairs: view}, sale.Request{Verb: sale.Cancel, Sale: chairs, Buyer: d, Target: holds(h)})
	}
	run("honest", "", func(h *house) sale.Batch { return cancel(h, h.stand(chairs)) })
	run("forgets the line", "continuity line", func(h *house) sale.Batch { // so the chair goes to nobody
		view := h.stand(chairs)
		view.Waiting, view.Line = 0, nil
		return cancel(h, view)
	})
	run("last in, first out", "continuity line", func(h *house) sale.Batch {
		view := h.stand(chairs)
		slices.Reverse(view.Line)
		return cancel(h, view)
	})
	run("forgets the holds", "holds", func(h *house) sale.Batch { // the one that ended is not seen, and who waits goes on waiting
		view := h.stand(chairs)
		view.Holds = nil
		return h.settleLater(0, 700_000, sale.State{chairs: view}, sale.Request{Verb: sale.Reserve, Sale: chairs, Buyer: f + 1, Quantity: 1})
	})
	run("keeps units back", "continuity inversions", func(h *house) sale.Batch {
		view := h.stand(bulk)
		view.Sold, view.Free = view.Sold+view.Free, 0
		return h.settle(1, sale.State{bulk: view}, sale.Request{Verb: sale.Reserve, Sale: bulk, Buyer: b, Quantity: 1})
	})
	run("lets somebody past the line", "continuity line", func(h *house) sale.Batch {
		wait := h.settle(1, sale.State{bulk: h.stand(bulk)}, sale.Request{Verb: sale.Reserve, Sale: bulk, Buyer: c, Quantity: 3})
		h.must(h.store.Apply(t.Context(), wait.Epoch, wait, 0))
		pass := h.settle(1, sale.State{bulk: h.stand(bulk)}, sale.Request{Verb: sale.Reserve, Sale: bulk, Buyer: d, Quantity: 1})
		h.must(h.store.Apply(t.Context(), pass.Epoch, pass, 0))
		h.wants(audit.OK, "") // once he may be passed
		view := h.stand(bulk)
		view.Waiting, view.Line = 0, nil
		return h.settle(1, sale.State{bulk: view}, sale.Request{Verb: sale.Reserve, Sale: bulk, Buyer: b, Quantity: 1})
	})
}

func verdictOf(rules string) audit.Verdict {
	if rules == "" {
		return audit.OK
	}
	return audit.Broken
}
