package notices

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/internal/admission"
	"sluice/internal/sale"
)

// words is what an account was told, the first first.
func (h *house) words(account int64, unread bool) (words []sale.NoticeWord) {
	h.T.Helper()
	list, more, err := h.List(h.Ctx, account, Filter{Unread: unread, Limit: 100})
	h.Must(err)
	if more {
		h.T.Error("more than a hundred")
	}
	for _, n := range slices.Backward(list) {
		words = append(words, n.Word)
	}
	return words
}

// TestWhatABuyerIsTold along the way of a reservation.
func TestWhatABuyerIsTold(t *testing.T) {
	h := open(t)
	lamp := h.Offer(sale.Sale{Kind: sale.Reservation, Price: sale.Price{Start: 50}, Hold: time.Minute})
	me, by := h.Buyers[0], admission.Asker{Account: h.Buyers[0]}
	held := h.Outcome(h.Admission.Reserve(h.Ctx, by, lamp.ID, 1, uuid.Nil))
	list, more, err := h.List(h.Ctx, me, Filter{Limit: 1})
	h.Must(err)
	if len(list) != 1 || more || list[0].Word != sale.NoticeHeld || list[0].Receipt != held.ID || list[0].Sale != lamp.ID || list[0].PayBy != held.PayBy || list[0].Read {
		t.Errorf("%+v, more %t", list, more)
	}
	h.Outcome(h.Admission.Pay(h.Ctx, by, held.ID))
	h.Outcome(h.Admission.Cancel(h.Ctx, by, held.ID))
	told := []sale.NoticeWord{sale.NoticeHeld, sale.NoticeConfirmed, sale.NoticeRefunded}
	if got := h.words(me, true); !slices.Equal(got, told) {
		t.Errorf("told %q, not %q", got, told)
	}
	if n, err := h.MarkRead(h.Ctx, me, []int64{list[0].ID}); err != nil || n != 1 {
		t.Errorf("marked %d, %v", n, err)
	}
	if got := h.words(me, true); !slices.Equal(got, told[1:]) {
		t.Errorf("unread %q, not %q", got, told[1:])
	}
	if got := h.words(me, false); !slices.Equal(got, told) {
		t.Errorf("all %q, not %q", got, told)
	}
	if n, err := h.MarkRead(h.Ctx, me, nil); err != nil || n != 2 || len(h.words(me, true)) != 0 {
		t.Errorf("marked %d, %v; then unread %q", n, err, h.words(me, true))
	}
	if got := h.words(h.Buyers[1], false); len(got) != 0 {
		t.Errorf("another one is told %q", got)
	}
}

func TestWatch(t *testing.T) {
	h := open(t)
	running := h.Offer(sale.Sale{Kind: sale.Event, Hold: time.Minute})
	coming := h.Offer(sale.Sale{Kind: sale.Event, Hold: time.Minute, OpensAt: sale.At(time.Now()).Add(time.Hour)})
	me := h.Buyers[0]
	h.Must(h.Watch(h.Ctx, me, coming.ID))
	h.Must(h.Unwatch(h.Ctx, me, coming.ID))
	h.Must(h.Watch(h.Ctx, me, coming.ID))
	if err := h.Watch(h.Ctx, me, running.ID); !errors.Is(err, ErrOpened) {
		t.Errorf("an open sale: %v", err)
	}
	if err := h.Watch(h.Ctx, me, 404); !errors.Is(err, sale.ErrUnknown) {
		t.Errorf("no sale: %v", err)
	}
	if _, err := h.ledger.Announce(h.Ctx, coming.OpensAt, 10); err != nil {
		t.Error(err)
	}
	if got := h.words(me, true); !slices.Equal(got, []sale.NoticeWord{sale.NoticeOpens}) {
		t.Errorf("told %q", got)
	}
	if err := h.Watch(h.Ctx, me, coming.ID); !errors.Is(err, ErrOpened) {
		t.Errorf("a sale that was announced, by a clock that is ahead: %v", err)
	}
}
