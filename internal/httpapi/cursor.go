package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// list is one of the lists that have pages. Their numbers stand in cursors.
type list byte

const (
	listSales     list = iota + 1 // all sales
	listStatement                 // entries of one wallet
	listMine                      // receipts of one buyer
	listOfSale                    // receipts of one sale
	listNotices                   // of one account
	listCoupons                   // of one buyer
	listClaimable                 // coupons that one buyer may claim
	listOrders                    // of one buyer
	listStores                    // all stores
	listLetters                   // all dead letters
)

// position is the last thing of a page, in the order of its list.
type position struct {
	at      sale.Instant
	id      int64     // of a sale, an entry, a notice or a store; partition of a letter
	receipt uuid.UUID // of a receipt, an order or a coupon; number of a letter
}

// A cursor names a position in a list. It means nothing to who holds it:
//
//	version · list · at (8 bytes) · id (8) · receipt (16) · sum (8)     base64url
//
// The sum covers all of it and what was asked for, so that a cursor with a slip in
// it, or under other filters, is refused instead of answering something else. It
// is no seal and need not be one: whoever makes his own cursor gets to where he
// could have turned the pages to. What he writes there is bounded all the same.
const (
	cursorVersion = 1
	cursorBytes   = 2 + 8 + 8 + 16 + 8
	cursorLength  = cursorBytes / 3 * 4 // characters; no padding is left over
)

func (l list) cursor(p position, asked string) string {
	b := make([]byte, 0, cursorBytes)
	b = append(b, cursorVersion, byte(l))
	b = binary.BigEndian.AppendUint64(b, uint64(p.at))
	b = binary.BigEndian.AppendUint64(b, uint64(p.id))
	b = append(b, p.receipt[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, cursorSum(b, asked)...))
}

// parse answers the position of a cursor that list made for the same question.
func (l list) parse(text, asked string) (p position, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) != cursorLength || len(b) != cursorBytes { // the decoder skips line breaks
		return p, false
	}
	body, sum := b[:cursorBytes-8], b[cursorBytes-8:]
	if body[0] != cursorVersion || body[1] != byte(l) || !bytes.Equal(sum, cursorSum(body, asked)) {
		return p, false
	}
	p.at = sale.Instant(binary.BigEndian.Uint64(body[2:]))
	p.id = int64(binary.BigEndian.Uint64(body[10:]))
	copy(p.receipt[:], body[18:])
	return p, p.at >= 0 && p.at < sale.At(endOfTime) && p.id >= 0
}

func cursorSum(body []byte, asked string) []byte {
	h := sha256.New()
	h.Write(body)
	h.Write([]byte(asked))
	return h.Sum(nil)[:8]
}

// askedFor is what a cursor is bound to: whose list, and its filters in one
// spelling.
func askedFor(whose int64, filters url.Values) string {
	return strconv.FormatInt(whose, 10) + "?" + filters.Encode()
}
