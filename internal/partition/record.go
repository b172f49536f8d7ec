package partition

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// A receipt's record is one line of eleven words, or of fifteen when there is any
// of the last four:
//
//	status seq at verb sale buyer quantity fingerprint target reason unit_price [pay_by coupon discount passed] …
//
// Admit writes the first three itself; only Go writes and reads the rest. "-"
// stands for what there is not: a reason, a target, a coupon, the verb of an
// unreadable entry.
//
// Releases side by side read each other's records. A later one may write more words
// behind these, all of them then, and never means anything else by one of these: the
// words that are known are read, what follows is left alone. So is a verb that is
// not known, as if it could not be read, and a reason, which is internal then; a
// status must be known. Whoever writes a record anew writes what he knows, so what
// must last stands in Postgres.
const recordWords, recordWordsMost = 11, 15

// record answers the whole line.
func record(r sale.Receipt) string {
	return r.Status.String() + " " + strconv.FormatInt(r.Seq, 10) + " " + strconv.FormatInt(int64(r.At), 10) + " " + recordFromVerb(r)
}

// recordFromVerb answers what follows status, seq and time.
func recordFromVerb(r sale.Receipt) string {
	b := make([]byte, 0, 96)
	b = append(append(b, cmp.Or(r.Verb.String(), "-")...), ' ')
	for _, n := range [...]int64{r.Sale, r.Buyer, r.Quantity} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	b = append(strconv.AppendUint(b, r.Fingerprint, 36), ' ')
	b = appendID(b, r.Target)
	b = append(b, ' ')
	b = append(b, cmp.Or(r.Reason.String(), "-")...)
	b = strconv.AppendInt(append(b, ' '), r.UnitPrice, 10)
	if r.PayBy != 0 || r.Coupon != uuid.Nil || r.Discount != 0 || r.Passed != 0 {
		b = appendID(append(strconv.AppendInt(append(b, ' '), int64(r.PayBy), 10), ' '), r.Coupon)
		b = strconv.AppendInt(append(b, ' '), r.Discount, 10)
		b = strconv.AppendInt(append(b, ' '), r.Passed, 10)
	}
	return string(b)
}

func appendID(b []byte, id uuid.UUID) []byte {
	if id == uuid.Nil {
		return append(b, '-')
	}
	return base64.RawURLEncoding.AppendEncode(b, id[:])
}

// parseRecord reads a line. Like every decoder it trusts nothing.
func parseRecord(id uuid.UUID, line string) (r sale.Receipt, err error) {
	if line != "" && line[0] < ' ' {
		return parseBrief(id, line)
	}
	words := strings.Split(line, " ")
	if len(words) != recordWords && len(words) < recordWordsMost {
		return r, fmt.Errorf("receipt %s has %d words, not %d, or %d or more", id, len(words), recordWords, recordWordsMost)
	}
	ok := true
	number := func(w string) int64 {
		n, err := strconv.ParseInt(w, 10, 64)
		ok = ok && err == nil
		return n
	}
	known := func(yes bool) { ok = ok && yes }
	later := func(w string) bool { return w != "" && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz_") == "" }
	receipt := func(w string) (id uuid.UUID) {
		if w != "-" {
			bytes, err := base64.RawURLEncoding.DecodeString(w)
			known(err == nil && len(bytes) == len(id))
			copy(id[:], bytes)
		}
		return id
	}
	var yes bool
	r.ID = id
	r.Status, yes = sale.ParseStatus(words[0])
	known(yes)
	r.Seq, r.At = number(words[1]), sale.Instant(number(words[2]))
	if words[3] != "-" {
		r.Verb, yes = sale.ParseVerb(words[3])
		known(yes || later(words[3]))
	}
	r.Sale, r.Buyer, r.Quantity = number(words[4]), number(words[5]), number(words[6])
	fingerprint, err := strconv.ParseUint(words[7], 36, 64)
	known(err == nil)
	r.Fingerprint = fingerprint
	r.Target = receipt(words[8])
	if words[9] != "-" {
		if r.Reason, yes = sale.ParseReason(words[9]); !yes {
			r.Reason = sale.Internal
			known(later(words[9]))
		}
	}
	r.UnitPrice = number(words[10])
	if len(words) >= recordWordsMost {
		r.PayBy, r.Coupon = sale.Instant(number(words[11])), receipt(words[12])
		r.Discount, r.Passed = number(words[13]), number(words[14])
	}
	if !ok {
		return sale.Receipt{}, fmt.Errorf("receipt %s has an unreadable record %.200q", id, line)
	}
	return r, nil
}
