package partition

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sluice/internal/sale"
)

// TestAnnouncementComesBack: what one release says, it understands, and what a later one
// says behind that does not harm it.
func TestAnnouncementComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.Int64Range(0, 1<<53)
		said := Changes{Seq: count.Draw(t, "seq"), Drain: float64(rapid.Int64Range(0, 1e6).Draw(t, "drain")),
			Sales: rapid.SliceOfN(rapid.Int64Range(1, 1<<53), 0, 5).Draw(t, "sales")}
		for range rapid.IntRange(0, 5).Draw(t, "receipts") {
			said.Receipts = append(said.Receipts, Changed{uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")), count.Draw(t, "buyer"), rapid.String().Draw(t, "record")})
		}
		if len(said.Sales) == 0 {
			said.Sales = nil
		}
		later := rapid.SliceOf(rapid.Byte()).Draw(t, "later")
		heard, err := parseAnnouncement("1700000000001 " + string(announcement(said)) + string(later))
		if said.At = 1_700_000_000_001; err != nil || !reflect.DeepEqual(heard, said) {
			t.Errorf("said %+v, heard %+v, %v", said, heard, err)
		}
	})
}

// TestAnnouncementRefused: what is cut short or of another version is no news.
func TestAnnouncementRefused(t *testing.T) {
	whole := "1700000000001 " + string(announcement(Changes{Seq: 7, Drain: 5000, Sales: []int64{1, 1 << 40}, Receipts: []Changed{{uuid.Max, 9, "held"}, {uuid.Max, 300, ""}}}))
	if _, err := parseAnnouncement(whole); err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if c, err := parseAnnouncement(whole[:n]); !errors.Is(err, ErrBroken) || !reflect.DeepEqual(c, Changes{}) {
			t.Errorf("%d bytes of it are %+v, %v", n, c, err)
		}
	}
	huge := string(binary.AppendUvarint(nil, math.MaxUint64))
	for name, raw := range map[string]string{
		"another version":            strings.Replace(whole, " \x01", " \x02", 1),
		"no clock":                   strings.TrimPrefix(whole, "1700000000001"),
		"a clock before all time":    "-1" + strings.TrimPrefix(whole, "1700000000001"),
		"more sales than there are":  "1 \x01\x07\x01" + huge,
		"sales that take for ever":   "1 \x01\x07\x01" + string(binary.AppendUvarint(nil, 1<<61)),
		"a number that does not end": "1 \x01" + strings.Repeat("\xff", 20),
		"receipts that are not":      "1 \x01\x07\x01\x00" + string(binary.AppendUvarint(nil, 1<<61)) + "0123456789abcdef\x01",
	} {
		if c, err := parseAnnouncement(raw); !errors.Is(err, ErrBroken) || !reflect.DeepEqual(c, Changes{}) {
			t.Errorf("%s is %+v, %v", name, c, err)
		}
	}
	// A pace that nobody can have is none.
	for _, drain := range []float64{-1, math.Inf(-1)} {
		c, err := parseAnnouncement("1 " + string(announcement(Changes{Seq: 1, Drain: drain})))
		if err != nil || c.Drain != 0 || c.At != sale.Instant(1) {
			t.Errorf("a drain of %g: %+v, %v", drain, c, err)
		}
	}
}
