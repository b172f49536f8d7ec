package partition

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// TestRecordOfAnOlderProcess: a line of the release that knew auctions only is
// read, and what that release knows is still written as it did.
func TestRecordOfAnOlderProcess(t *testing.T) {
	id := sale.NewReceiptID(p)
	const line = "confirmed 12 1700000000000 bid 7 1001 2 3w5e11264sgsf - - 81"
	r, err := parseRecord(id, line)
	if err != nil {
		t.Fatal(err)
	}
	want := sale.Receipt{ID: id, Verb: sale.Bid, Sale: 7, Buyer: 1001, Quantity: 2, UnitPrice: 81, Status: sale.Confirmed,
		Fingerprint: 1<<64 - 1, Seq: 12, At: 1700000000000}
	if r != want {
		t.Errorf("read as %+v", r)
	}
	if got := record(r); got != line {
		t.Errorf("written as %q", got)
	}
}

// TestRecordOfALaterProcess: what a release to come adds is left alone, what it cannot
// have meant is refused.
func TestRecordOfALaterProcess(t *testing.T) {
	id := sale.NewReceiptID(p)
	held := sale.Receipt{ID: id, Verb: sale.Reserve, Sale: 7, Buyer: 1001, Quantity: 2, UnitPrice: 81, Status: sale.Held, PayBy: 1700000600000,
		Fingerprint: 1<<64 - 1, Seq: 12, At: 1700000000000}
	bare, refused := held, held
	bare.Verb = 0
	refused.Status, refused.Reason = sale.Rejected, sale.Internal
	for line, want := range map[string]sale.Receipt{
		record(held) + " vip":        held,
		record(held) + " vip - 0 {}": held,
		strings.Replace(record(held), " reserve ", " swap_seats ", 1):   bare,
		strings.Replace(record(refused), " internal ", " too_slow ", 1): refused,
	} {
		if got, err := parseRecord(id, line); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v", line, got, err)
		}
	}
	for _, line := range []string{
		strings.Replace(record(held), "held ", "parked ", 1),
		strings.Replace(record(held), " reserve ", " 7 ", 1),
		strings.Replace(record(held), " reserve ", "  ", 1),
		strings.Replace(record(refused), " internal ", " 7 ", 1),
		"confirmed 12 1700000000000 bid 7 1001 2 3w5e11264sgsf - - 81 vip", // behind words that are not there
	} {
		if got, err := parseRecord(id, line); err == nil {
			t.Errorf("%q is read as %+v", line, got)
		}
	}
}

// TestRecordKeepsAll: each of the newer words alone, and all of them.
func TestRecordKeepsAll(t *testing.T) {
	coupon := sale.NewReceiptID(p)
	for name, change := range map[string]func(*sale.Receipt){
		"pay_by":   func(r *sale.Receipt) { r.Status, r.PayBy = sale.Held, 1700000600000 },
		"coupon":   func(r *sale.Receipt) { r.Coupon = coupon },
		"discount": func(r *sale.Receipt) { r.Discount = sale.MaxPoints },
		"passed":   func(r *sale.Receipt) { r.Status, r.Passed = sale.Waiting, 1000 },
		"all":      func(r *sale.Receipt) { r.PayBy, r.Coupon, r.Discount, r.Passed = 1, coupon, 2, 3 },
	} {
		r := sale.Receipt{ID: sale.NewReceiptID(p), Verb: sale.Reserve, Sale: 7, Buyer: 1001, Quantity: 2, Status: sale.Confirmed, Target: sale.NewReceiptID(p), Seq: 3, At: 4}
		change(&r)
		line := record(r)
		if got, err := parseRecord(r.ID, line); err != nil || got != r {
			t.Errorf("%s: %q came back as %+v, %v", name, line, got, err)
		}
		if cut := line[:strings.LastIndexByte(line, ' ')]; cut != "" {
			if got, err := parseRecord(r.ID, cut); err == nil {
				t.Errorf("%s: a line that was cut is read as %+v", name, got)
			}
		}
	}
}

// TestQueuedWithACoupon: which coupon a request is to use is known before it is
// decided.
func TestQueuedWithACoupon(t *testing.T) {
	f := started(t)
	f.load(stage(nil))
	r := reserve(1001, 1)
	r.Coupon = sale.NewReceiptID(p)
	f.admit(r)
	if got := f.status(r.Receipt); got.Status != sale.Queued || got.Coupon != r.Coupon {
		t.Errorf("queued as %+v", got)
	}
}

func FuzzParseRecord(f *testing.F) {
	full := sale.Receipt{Verb: sale.Refund, Sale: 7, Buyer: 1001, Quantity: 2, UnitPrice: 81, Status: sale.Rejected, Reason: sale.SoldOut,
		Target: sale.NewReceiptID(3), Fingerprint: 1<<64 - 1, Seq: 12, At: 1700000000000}
	f.Add(record(full))
	f.Add(record(sale.Receipt{Status: sale.Rejected, Reason: sale.Internal}))
	full.Verb, full.Status, full.Reason, full.PayBy, full.Coupon, full.Discount, full.Passed = sale.Reserve, sale.Held, 0, 5, sale.NewReceiptID(3), 6, 7
	f.Add(record(full))
	f.Add(string(briefRecord(sale.Receipt{Verb: sale.Bid, Sale: 7, Buyer: 1001, Quantity: 2, UnitPrice: 81, Status: sale.Rejected, Reason: sale.SoldOut,
		Fingerprint: 1<<64 - 1, Seq: 12, At: 1700000000000})))
	f.Add("queued 1 2 bid 7 1 1 zz - - 0")
	f.Add("waiting 1 2 reserve 7 1 1 zz - - 0 0 - 0 1")
	f.Add("waiting 1 2 swap 7 1 1 zz - too_slow 0 0 - 0 1 vip")
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parseRecord(uuid.Nil, line)
		if err != nil {
			return
		}
		if back, err := parseRecord(uuid.Nil, record(r)); err != nil || back != r {
			t.Errorf("%+v came back as %+v, %v", r, back, err)
		}
	})
}
