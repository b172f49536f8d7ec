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

// A receipt's record is one line of eleven words:
//
//	status seq at verb sale buyer quantity fingerprint target reason unit_price
//
// Admit writes the first three itself; only Go writes and reads the rest. "-"
// stands for what there is not: a reason, a target, the verb of an unreadable
// entry.
const recordWords = 11

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
	if r.Target == uuid.Nil {
		b = append(b, '-')
	} else {
		b = base64.RawURLEncoding.AppendEncode(b, r.Target[:])
	}
	b = append(b, ' ')
	b = append(b, cmp.Or(r.Reason.String(), "-")...)
	return string(strconv.AppendInt(append(b, ' '), r.UnitPrice, 10))
}

// parseRecord reads a line. Like every decoder it trusts nothing.
func parseRecord(id uuid.UUID, line string) (r sale.Receipt, err error) {
	words := strings.Split(line, " ")
	if len(words) != recordWords {
		return r, fmt.Errorf("receipt %s has %d words, not %d", id, len(words), recordWords)
	}
	ok := true
	number := func(w string) int64 {
		n, err := strconv.ParseInt(w, 10, 64)
		ok = ok && err == nil
		return n
	}
	known := func(yes bool) { ok = ok && yes }
	var yes bool
	r.ID = id
	r.Status, yes = sale.ParseStatus(words[0])
	known(yes)
	r.Seq, r.At = number(words[1]), sale.Instant(number(words[2]))
	if words[3] != "-" {
		r.Verb, yes = sale.ParseVerb(words[3])
		known(yes)
	}
	r.Sale, r.Buyer, r.Quantity = number(words[4]), number(words[5]), number(words[6])
	fingerprint, err := strconv.ParseUint(words[7], 36, 64)
	known(err == nil)
	r.Fingerprint = fingerprint
	if words[8] != "-" {
		target, err := base64.RawURLEncoding.DecodeString(words[8])
		known(err == nil && len(target) == len(r.Target))
		copy(r.Target[:], target)
	}
	if words[9] != "-" {
		r.Reason, yes = sale.ParseReason(words[9])
		known(yes)
	}
	r.UnitPrice = number(words[10])
	if !ok {
		return sale.Receipt{}, fmt.Errorf("receipt %s has an unreadable record %.200q", id, line)
	}
	return r, nil
}
