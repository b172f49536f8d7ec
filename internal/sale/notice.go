package sale

import "github.com/google/uuid"

// NoticeWord is what somebody is told; one closed set.
type NoticeWord string

// The words. All but the last three are told by the settlement that makes them true.
const (
	NoticeHeld      NoticeWord = "held"      // pay until pay_by
	NoticePromoted  NoticeWord = "promoted"  // out of the line: held until pay_by, or confirmed
	NoticeExpired   NoticeWord = "expired"   // not paid in time
	NoticeConfirmed NoticeWord = "confirmed" // bought, claimed, joined or paid
	NoticeRefunded  NoticeWord = "refunded"  // the points are back, by a refund or a cancel
	NoticeClosed    NoticeWord = "closed"    // the sale closed while he waited

	NoticeSoon     NoticeWord = "soon"     // a hold ends soon: Sale.RemindAt
	NoticeOpens    NoticeWord = "opens"    // a sale he watches has opened
	NoticeReminder NoticeWord = "reminder" // 24 hours before starts_at
)

// Notice is one thing that somebody is told.
type Notice struct {
	Word    NoticeWord
	Account int64
	Sale    int64
	Receipt uuid.UUID // Nil of NoticeOpens
	At      Instant   // when it became true
	PayBy   Instant   // of held, promoted and soon; 0: there is nothing to pay
}

// Notices answers what a batch has to tell, in the order in which it happened to
// each receipt.
func (b Batch) Notices() (notices []Notice) {
	tell := func(word NoticeWord, r Receipt, at Instant) {
		n := Notice{Word: word, Account: r.Buyer, Sale: r.Sale, Receipt: r.ID, At: at}
		if word == NoticeHeld || word == NoticePromoted {
			n.PayBy = r.PayBy
		}
		notices = append(notices, n)
	}
	for i, e := range b.Entries {
		o := b.Outcomes[i]
		if o.Stands || o.Status != Confirmed && o.Status != Held {
			continue
		}
		// Not e.Settled(o), since nobody is told the fingerprint, and that is dear.
		r := Receipt{ID: e.Receipt, Verb: e.Verb, Sale: e.Sale, Buyer: e.Buyer, Quantity: e.Quantity + o.Quantity, PayBy: o.PayBy}
		if r.Purchase() {
			word := NoticeConfirmed
			if o.Status == Held {
				word = NoticeHeld
			}
			tell(word, r, e.ID.At)
		}
	}
	for _, m := range b.Effects.Moves {
		switch m.Receipt.Status {
		case Held:
			tell(NoticePromoted, m.Receipt, m.At)
		case Confirmed:
			word := NoticeConfirmed
			if m.From == Waiting {
				word = NoticePromoted
			}
			tell(word, m.Receipt, m.At)
		case Expired:
			tell(NoticeExpired, m.Receipt, m.At)
		case Rejected:
			tell(NoticeClosed, m.Receipt, m.At)
		case Refunded:
			tell(NoticeRefunded, m.Receipt, m.At)
		case Cancelled:
			if m.From == Confirmed && m.Receipt.Cost() > 0 {
				tell(NoticeRefunded, m.Receipt, m.At)
			}
		}
	}
	return notices
}
