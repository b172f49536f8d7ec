package httpapi

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/sale"
)

// tag is how a receipt stands, in a word: its state, which changes with its status, and
// its place in a queue. It is the same in every process. Times that are guessed are not in
// it.
type tag struct {
	state string
	place int64
	final bool
}

// tagOf answers that of s.
func tagOf(s sale.Standing) tag {
	h := fnv.New64a()
	b := make([]byte, 0, 128)
	b = append(append(b, byte(s.Status), byte(s.Reason), byte(s.Verb)), s.Coupon[:]...)
	for _, n := range [...]int64{s.Quantity, s.UnitPrice, s.Discount, int64(s.PayBy), int64(s.At)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	_, _ = h.Write(append(b, s.ID[:]...))
	t := tag{state: base64.RawURLEncoding.EncodeToString(h.Sum(nil)), final: s.Status.Final()}
	switch s.Status {
	case sale.Queued:
		t.place = s.Ahead + 1
	case sale.Waiting:
		t.place = s.Line
	}
	return t
}

// opaque is the tag without its quotes.
func (t tag) opaque() string { return t.state + "." + strconv.FormatInt(t.place, 10) }

// String is the tag as an ETag. What may still change is a weak one: the guesses that are
// answered beside it are not in it.
func (t tag) String() string {
	if t.final {
		return `"` + t.opaque() + `"`
	}
	return `W/"` + t.opaque() + `"`
}

// tags are what the client has already: the opaque parts of If-None-Match.
type tags []string

// tagsMost bounds how many are looked at.
const tagsMost = 20

// knownTags reads If-None-Match. What is none of our tags matches nothing.
func knownTags(c *fiber.Ctx) tags {
	header := c.Get(fiber.HeaderIfNoneMatch)
	if header == "" {
		return nil
	}
	var known tags
	for part := range strings.SplitSeq(header, ",") {
		word := strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if len(word) > 2 && word[0] == '"' && word[len(word)-1] == '"' && len(known) < tagsMost {
			known = append(known, strings.Clone(word[1:len(word)-1]))
		}
	}
	return known
}

// name says whether the client has what this opaque part stands for. Weak and strong are
// the same to it (RFC 9110, 13.1.2).
func (known tags) name(opaque string) bool { return slices.Contains(known, opaque) }

// has says whether the client has exactly this.
func (known tags) has(t tag) bool { return known.name(t.opaque()) }

// knows says whether the client has this state, wherever in the queue.
func (known tags) knows(t tag) bool {
	for _, word := range known {
		if state, _, ok := strings.Cut(word, "."); ok && state == t.state {
			return true
		}
	}
	return false
}
