package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// These targets give every method that reads a script's answer, or a stream, any
// answer at all. None may break on it, none may take for granted what is not there,
// and only the words of the contract count as success.

// An answer as bytes that a fuzzer can change: its form, then what it holds.
const (
	formNil = iota
	formNumber
	formText
	formList
	formTruth
	formFloat
	formError
	forms
)

// written is an answer as bytes.
func written(answer any) []byte {
	switch v := answer.(type) {
	case nil:
		return []byte{formNil}
	case int64:
		return binary.AppendVarint([]byte{formNumber}, v)
	case string:
		return append(binary.AppendUvarint([]byte{formText}, uint64(len(v))), v...)
	case []any:
		b := binary.AppendUvarint([]byte{formList}, uint64(len(v)))
		for _, item := range v {
			b = append(b, written(item)...)
		}
		return b
	}
	panic(fmt.Sprintf("a seed holds a %T", answer))
}

// answerIn reads any bytes as an answer, and what is left of them.
func answerIn(b []byte, depth int) (any, []byte) {
	if len(b) == 0 || depth == 0 {
		return nil, nil
	}
	form, b := b[0]%forms, b[1:]
	switch form {
	case formNumber:
		n, size := binary.Varint(b)
		return n, b[max(size, 0):]
	case formText, formError:
		n, size := binary.Uvarint(b)
		b = b[max(size, 0):]
		n = min(n, uint64(len(b)))
		if form == formError {
			return redis.Error(failure(b[:n])), b[n:]
		}
		return string(b[:n]), b[n:]
	case formList:
		n, size := binary.Uvarint(b)
		b = b[max(size, 0):]
		list := []any{}
		for ; n > 0 && len(b) > 0; n-- {
			var item any
			item, b = answerIn(b, depth-1)
			list = append(list, item)
		}
		return list, b
	case formTruth:
		return len(b)%2 == 0, b
	case formFloat:
		if len(b) >= 8 {
			return math.Float64frombits(binary.BigEndian.Uint64(b)), b[8:]
		}
	}
	return nil, b
}

// failure is an error of the server.
type failure string

func (f failure) Error() string { return string(f) }
func (failure) RedisError()     {}

// oracle answers every command.
type oracle struct{ answer any }

func (*oracle) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*oracle) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o *oracle) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if err, ok := o.answer.(error); ok {
			cmd.SetErr(err)
			return err
		}
		switch cmd := cmd.(type) {
		case *redis.Cmd:
			cmd.SetVal(o.answer)
		case *redis.XMessageSliceCmd:
			cmd.SetVal(messagesIn(o.answer))
		case *redis.XStreamSliceCmd:
			cmd.SetVal([]redis.XStream{{Stream: streamKey(p), Messages: messagesIn(o.answer)}})
		case *redis.StringCmd: // SCRIPT LOAD, for a server that says NOSCRIPT
		default:
			panic(fmt.Sprintf("nobody answers %s", cmd.Name()))
		}
		return nil
	}
}

// messagesIn reads {{ID, {field, value, …}}, …} as the driver does.
func messagesIn(answer any) (all []redis.XMessage) {
	list, _ := answer.([]any)
	for _, item := range list {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			continue
		}
		m := redis.XMessage{ID: text(pair[0]), Values: map[string]any{}}
		fields, _ := pair[1].([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			m.Values[text(fields[i])] = fields[i+1]
		}
		all = append(all, m)
	}
	return all
}

// asked is a store that is answered by an oracle.
func asked(f *testing.F) (*Store, *oracle) {
	o := &oracle{}
	client := redis.NewClient(&redis.Options{})
	client.AddHook(o)
	f.Cleanup(func() { client.Close() })
	to := &link{conns: &conns{one: &node{Client: client}}}
	s := &Store{n: 4, requests: to, owners: to, leases: to, readers: to, base: to, scripts: map[string]script{},
		blocking: newBlocking(oneServer{connected{func(string) *redis.Client { return client }}})}
	s.openDesks()
	files, err := sources.ReadDir("lua")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		s.scripts[file.Name()] = script{}
	}
	return s, o
}

// fuzz tries every answer that a fuzzer makes of the given ones.
func fuzz(f *testing.F, try func(t *testing.T, s *Store, answer any), like ...any) {
	s, o := asked(f)
	for _, answer := range append(like, nil, "OK", int64(0), []any{}, []any{nil, nil}, []any{[]any{[]any{}}}) {
		f.Add(written(answer))
	}
	f.Add(append([]byte{formError}, "\x0fNOSCRIPT no such"...))
	f.Add(append([]byte{formError}, "\x0aFENCED by 7"...))
	f.Add([]byte{formList, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}) // as long as can be said
	f.Fuzz(func(t *testing.T, b []byte) {
		o.answer, _ = answerIn(b, 6)
		try(t, s, o.answer)
	})
}

// hash is the fields of a stand as Redis answers them.
func hash(s *sale.Stand) []any {
	fields := standFields(s)
	for i, field := range fields {
		fields[i] = fmt.Sprint(field)
	}
	return fields
}

// spots is holds or a line as Redis answers them.
func spots(places ...sale.Place) []any {
	flat := []any{}
	for _, place := range places {
		flat = append(flat, string(member(place)), fmt.Sprint(int64(place.At)))
	}
	return flat
}

// fuzzID is a receipt that the seeds name.
var fuzzID = sale.TickReceiptID(p, 7, sale.Open, 1)

func FuzzAdmitAnswer(f *testing.F) {
	r := reserve(1001, 2)
	r.Receipt = fuzzID
	known := record(sale.Receipt{ID: r.Receipt, Verb: r.Verb, Sale: r.Sale, Buyer: r.Buyer, Quantity: r.Quantity,
		Fingerprint: r.Sum(), Status: sale.Held, Seq: 4, At: 5, PayBy: 6})
	queued := record(sale.Receipt{ID: r.Receipt, Verb: r.Verb, Sale: r.Sale, Buyer: r.Buyer, Quantity: r.Quantity,
		Fingerprint: r.Sum(), Status: sale.Queued, Seq: 4, At: 5})
	other := record(sale.Receipt{Verb: r.Verb, Fingerprint: 1, Status: sale.Queued})
	codes := []sale.Code{sale.RefusedUnknownSale, sale.RefusedNotOpen, sale.RefusedClosed, sale.RefusedSoldOut, sale.RefusedSuspended, sale.RefusedRate,
		sale.RefusedOverload, sale.RefusedLoading, sale.RefusedEarly}
	const stands = "3 100 1700000000000-3 700 1700000000100"
	like := []any{[]any{"loading"}, []any{stands}, []any{stands, "queued 5 39", "queued 6 38"}, []any{"3 100 1-3 700", "queued 5 39"}, []any{stands, int64(1)}}
	for _, line := range []string{"queued 5 39", "queued 5 -1", "known " + known, "known " + queued, "known " + other, "forgotten"} {
		like = append(like, []any{stands, line})
	}
	for _, code := range codes {
		like = append(like, []any{stands, string(code)}, []any{stands, string(code) + " 1000"}, []any{stands, string(code) + " 1000 1700000000000"})
	}
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		standing, err := s.Admit(t.Context(), p, r, Selling, unlimited)
		var refusal *sale.Refusal
		switch {
		case err == nil:
			if standing.ID != r.Receipt || standing.Fingerprint != r.Sum() || standing.Status == 0 || standing.Ahead < 0 ||
				!standing.Known && standing.Status != sale.Queued {
				t.Errorf("%v is %+v", answer, standing)
			}
		case standing != sale.Standing{}:
			t.Errorf("%v is both %+v and %v", answer, standing, err)
		case errors.As(err, &refusal):
			if !slices.Contains(append(codes, sale.RefusedMismatch), refusal.Code) {
				t.Errorf("%v refuses with %q", answer, refusal.Code)
			}
		}
	}, like...)
}

func FuzzReceiptAnswer(f *testing.F) {
	full := sale.Receipt{ID: fuzzID, Verb: sale.Reserve, Sale: 7, Buyer: 1001, Quantity: 2, Fingerprint: 12, Status: sale.Waiting, Seq: 4, At: 5, Coupon: fuzzID}
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		standing, err := s.Receipt(t.Context(), p, fuzzID)
		if err != nil {
			if standing != (sale.Standing{}) {
				t.Errorf("%v is both %+v and %v", answer, standing, err)
			}
			return
		}
		if standing.ID != fuzzID || standing.Status == 0 || standing.Ahead < 0 {
			t.Errorf("%v is %+v", answer, standing)
		}
		if again, err := parseRecord(fuzzID, record(standing.Receipt)); err != nil || again != standing.Receipt {
			t.Errorf("%v is %+v, and written again %+v, %v", answer, standing.Receipt, again, err)
		}
	}, []any{"loading"}, []any{"3 100 1700000000000-3 700", record(full)}, []any{"3 100 1-0 0", ""}, []any{"3 100 1-0 0"}, []any{"3 100 1-0 0", int64(7)})
}

// usable checks that a stand which came out of Redis can be worked with: its log can
// be written and read, and no rule breaks on it.
func usable(t *testing.T, answer any, stand *sale.Stand) {
	t.Helper()
	if stand.ID != 7 || stand.Partition != p {
		t.Errorf("%v is %+v", answer, stand)
	}
	kept := *stand
	kept.Title, kept.Description, kept.Partition = "", "", 0 // which the log has not
	form := sale.Batch{State: sale.State{7: &kept}}.EncodeFacts()
	state, _, err := sale.DecodeFacts(form)
	if err != nil {
		t.Fatalf("%v is %+v, of which no log can be read: %v", answer, stand, err)
	}
	if again := (sale.Batch{State: state}).EncodeFacts(); string(again) != string(form) {
		t.Errorf("%v is %+v in the log, and then %+v", answer, kept, state[7])
	}
	for _, at := range []sale.Instant{0, stand.OpensAt, stand.ClosesAt, 1700000000000, math.MaxInt64} {
		stand.PriceAt(at)
		if next, drops := stand.NextDrop(at); drops && next >= stand.ClosesAt || stand.ShownAt(at, stand.Free) == "" {
			t.Errorf("%v at %d drops at %d", answer, at, next)
		}
	}
}

// seed is a sale with a hold and a line, as it stands in Redis.
func seed() (stand *sale.Stand, holds, line []any) {
	stand = stage(func(s *sale.Stand) {
		s.OpensAt, s.ClosesAt = 1700000000000, 1700003600000
		s.Free, s.Held, s.Waiting = 9, 1, 1
	})
	return stand, spots(sale.Place{Receipt: fuzzID, Seq: 1, At: 1700000000600}), spots(sale.Place{Receipt: fuzzID, Seq: 2, At: 1700000000001})
}

// spoiltHashes are the hashes of two sales with one value in the place of another.
func spoiltHashes() (all [][]any) {
	chair, _, _ := seed()
	for _, stand := range []*sale.Stand{chair, falling(sale.Constant), falling(sale.Percentage)} {
		for i := 1; i < len(hash(stand)); i += 2 {
			for _, value := range []any{"", "0", "-1", "x", "9223372036854775807", "18446744073709551615", nil, "184467440738"} {
				fields := hash(stand)
				fields[i] = value
				all = append(all, fields)
			}
		}
	}
	return all
}

// falling is a sale whose price falls.
func falling(policy sale.Policy) *sale.Stand {
	return lamp(func(s *sale.Stand) {
		s.OpensAt, s.ClosesAt = 1700000000000, 1700003600000
		s.Price = sale.Price{Policy: policy, Start: 100, Drop: 1, Period: time.Minute}
		if policy == sale.Percentage {
			s.Price.Drop, s.Price.Rate = 0, 100
		}
	})
}

func FuzzViewAnswer(f *testing.F) {
	stand, holds, line := seed()
	like := []any{
		[]any{"view", hash(stand), []any{"1", nil}, holds, line},
		[]any{"view", hash(falling(sale.Constant)), []any{nil, nil}, []any{}, []any{}},
		[]any{"view", []any{}, []any{nil, nil}, []any{}, []any{}},
		[]any{"behind"}, []any{"ahead"},
	}
	for _, fields := range spoiltHashes() {
		like = append(like, []any{"view", fields, []any{"1", nil}, holds, line})
	}
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		asks := map[int64]*Ask{7: {Buyers: []int64{1001, 1002}, Requests: 2}}
		state, err := s.View(t.Context(), p, 1, sale.EntryID{At: 1}, sale.EntryID{At: 1700000000700}, asks)
		if err != nil {
			if state != nil {
				t.Errorf("%v is both a state and %v", answer, err)
			}
			return
		}
		for id, stand := range state {
			usable(t, answer, stand)
			if id != 7 || len(stand.Buyers) > 2 {
				t.Errorf("%v is %d: %+v", answer, id, stand)
			}
			entries := []sale.Entry{
				{ID: sale.EntryID{At: 1700000000650}, Seq: 3, Generation: 1, Request: bid(1001, 1)},
				{ID: sale.EntryID{At: 1700000000650, No: 1}, Seq: 4, Generation: 1, Request: reserve(1002, 1)},
				{ID: sale.EntryID{At: 1700000000700}, Seq: 5, Generation: 1, Request: about(sale.Cancel, sale.Receipt{ID: fuzzID, Sale: 7, Buyer: 1001})},
			}
			facts := sale.Facts{Generation: 1, Balances: map[int64]int64{1001: 1000}, Receipts: map[uuid.UUID]sale.Receipt{}}
			for _, place := range append(stand.Holds, stand.Line...) {
				facts.Receipts[place.Receipt] = sale.Receipt{ID: place.Receipt, Verb: sale.Reserve, Sale: 7, Buyer: 1001, Quantity: 1,
					Status: sale.Held, PayBy: place.At, Seq: place.Seq, At: place.At}
			}
			if d := sale.Decide(state, facts, entries); len(d.Short) == 0 && len(d.Outcomes) != len(entries) {
				t.Errorf("%v: %d outcomes of %d entries", answer, len(d.Outcomes), len(entries))
			}
		}
	}, like...)
}

func FuzzProjectionAnswer(f *testing.F) {
	stand, holds, line := seed()
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		found, err := s.Projection(t.Context(), p, []int64{7})
		if err != nil {
			return
		}
		if found.Applied.At < 0 || found.Applied.No < 0 {
			t.Errorf("%v stands at %s", answer, found.Applied)
		}
		for _, stand := range found.Sales {
			usable(t, answer, stand)
		}
	},
		[]any{"1700000000000-3", "12", "11", hash(stand), []any{"1001", "1", "1002", "2"}, holds, line},
		[]any{"1700000000000-3", "12", "11", []any{}, []any{}, []any{}, []any{}},
		[]any{"", "", "", []any{}, []any{}, []any{}, []any{}})
}

func FuzzSaleAnswer(f *testing.F) {
	stand, _, _ := seed()
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		found, now, err := s.Sale(t.Context(), p, 7)
		if err != nil {
			if found != nil || now != 0 {
				t.Errorf("%v is %+v at %d, and %v", answer, found, now, err)
			}
			return
		}
		if usable(t, answer, found); now <= 0 {
			t.Errorf("%v is at %d", answer, now)
		}
	}, []any{int64(1700000000000), hash(stand)}, []any{int64(1700000000000), []any{}})
}

func FuzzLeadAnswer(f *testing.F) {
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		lead, err := s.Lead(t.Context(), p, 1, 1)
		if err == nil && (lead.Empty && lead != Lead{Empty: true} || lead.Applied.At < 0 || lead.Applied.No < 0 || lead.Drain < 0) {
			t.Errorf("%v is %+v", answer, lead)
		}
	}, []any{"1", "1700000000000-3", "11", "12", "5000"}, []any{"", "", "", "", ""}, []any{"1", "", "11", "12", ""}, []any{"1", "1-0", "1", "1", "-7"})
}

// FuzzMissingAnswer: a receipt that is nowhere is unknown, lost, or nobody can tell.
func FuzzMissingAnswer(f *testing.F) {
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		err := s.Missing(t.Context(), p, sale.NewReceiptID(p))
		var refusal *sale.Refusal
		if err == nil {
			t.Errorf("%v is no reason", answer)
		}
		if errors.As(err, &refusal) && refusal.Code != sale.RefusedLoading {
			t.Errorf("%v refuses with %q", answer, refusal.Code)
		}
	}, []any{"loading"}, []any{"since", int64(0)}, []any{"since", int64(1700000000000)}, []any{"since", int64(math.MaxInt64)})
}

// FuzzWordAnswer: of the scripts that answer a word, only the words of their
// contract are success.
func FuzzWordAnswer(f *testing.F) {
	stand, _, _ := seed()
	stand.Line = []sale.Place{{Receipt: fuzzID, Seq: 2, At: 3}}
	like := []any{[]any{int64(3), int64(2), int64(1000)}, []any{int64(3), "0", int64(0)}}
	for _, word := range []string{"loaded", "there", "stale", "loading", "forgotten", "rebuilt", "restored", "trusted", "applied", "again", "behind", "unknown_sale"} {
		like = append(like, word)
	}
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		ctx := t.Context()
		at, leave, err := s.LinePlace(ctx, p, 7, stand.Line[0])
		list, isList := answer.([]any)
		only(t, "place", err, answer == int64(0) || isList && len(list) == 3)
		if at < 0 || leave < 0 || err != nil && at != 0 {
			t.Errorf("%v is the place %d, of which %v leave, %v", answer, at, leave, err)
		}
		for script, call := range map[string]struct {
			err  error
			good []any
		}{
			"load":    {s.Load(ctx, 0, sale.EntryID{At: 1}, stand), []any{"loaded", "there"}},
			"forget":  {s.Forget(ctx, p, 7), []any{"forgotten"}},
			"restore": {s.Restore(ctx, p, 1, []sale.Receipt{{ID: fuzzID, Status: sale.Rejected, Reason: sale.SoldOut}}), []any{"restored"}},
			"rebuild": {s.Rebuild(ctx, p, 1, 1, sale.EntryID{At: 1}, 1), []any{"rebuilt", "there"}},
			"trust":   {s.Trust(ctx, p, 1, sale.EntryID{At: 1}), []any{"trusted"}},
		} {
			only(t, script, call.err, slices.ContainsFunc(call.good, func(word any) bool { return word == answer }))
		}
		held, lapsed, err := s.Renew(ctx, p, "me")
		if held && (err != nil || answer != int64(1) && answer != int64(2)) || lapsed && answer != int64(2) {
			t.Errorf("%v is a lease", answer)
		}
		share, next, err := s.Share(ctx, "me")
		if err == nil && (share < 0 || share > s.n || next < 0 || next > LeaseFor) {
			t.Errorf("%v is a share of %d, for %s", answer, share, next)
		}
	}, append(like, int64(1), int64(2), int64(-1), int64(math.MaxInt64), []any{int64(1000), "me", "you"}, []any{int64(1000), "you"})...)
}

// only checks that a script is believed when it answers what it should, and never
// else.
func only(t *testing.T, script string, err error, good bool) {
	t.Helper()
	if good != (err == nil) {
		t.Errorf("%s: %v", script, err)
	}
}

// FuzzApplyAnswer: a batch is applied when the script says so and when, or was before.
func FuzzApplyAnswer(f *testing.F) {
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		at, err := s.Bury(t.Context(), 1, sale.Batch{Partition: p}, 0, nil)
		words, _ := answer.([]any)
		applied := len(words) == 2 && words[0] == "applied" && number(words[1]) > 0
		only(t, "apply", err, applied || answer == "again")
		if (at > 0) != applied {
			t.Errorf("%v was applied at %d", answer, at)
		}
	}, []any{"applied", "1700000000000"}, []any{"applied", "0"}, []any{"applied", "x"}, []any{"applied"}, "applied", "again", "behind")
}

// FuzzSurveyAnswer: nothing of a partition is less than nothing, and one without data is
// loading.
func FuzzSurveyAnswer(f *testing.F) {
	fuzz(f, func(t *testing.T, _ *Store, answer any) {
		words, _ := answer.([]any)
		c, _, err := parseCondition(words, "run")
		if err != nil && c != (Condition{}) || c.Depth < 0 || c.Generation < 0 || c.Generation == 0 && err == nil && words[3] == nil && !c.Loading {
			t.Errorf("%v is %+v, %v", answer, c, err)
		}
	}, []any{"7", "1700000000000-3", "5", "1", "run"}, []any{"5", "1700000000000-3", "7", "1", "another"}, []any{nil, nil, nil, nil, nil},
		[]any{"7", "x", "5", "1", nil}, []any{"7", "1-1", "5", "-1", nil}, []any{"7", "1-1", "5", "1"})
}

// FuzzServer: whatever INFO says, a figure is one, or known to be missing.
func FuzzServer(f *testing.F) {
	f.Add("# Memory\r\nused_memory:100\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n")
	f.Add("connected_clients:3\r\nconnected_slaves:x\nrole:master\nused_memory:-7\nevicted_keys:99999999999999999999")
	f.Fuzz(func(t *testing.T, info string) {
		server := reflect.ValueOf(parseServer(info))
		for i := range server.NumField() {
			if n := server.Field(i).Int(); n < -1 {
				t.Errorf("%s of %q is %d", server.Type().Field(i).Name, info, n)
			}
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	entry := []any{"q", "5", "g", "1", "e", string(bid(1001, 1).Encode())}
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		entries, err := s.Read(t.Context(), p, sale.EntryID{}, 100)
		if err == nil && len(entries) != len(messagesIn(answer)) {
			t.Errorf("of %d entries %d are read", len(messagesIn(answer)), len(entries))
		}
	}, []any{[]any{"1700000000000-0", entry}, []any{"1700000000000-1", []any{"e", "x"}}}, []any{[]any{"x", entry}})
}

// FuzzDeadAnswer: letters are what could not be read before, so none may hide
// another: only an ID that Redis cannot have given is an error.
func FuzzDeadAnswer(f *testing.F) {
	letter := []any{"q", "5", "g", "1", "e", string(bid(1001, 1).Encode()), "entry", "1700000000000-0", "cause", "it is poison", "attempts", "3"}
	fuzz(f, func(t *testing.T, s *Store, answer any) {
		all := messagesIn(answer)
		good := !slices.ContainsFunc(all, func(m redis.XMessage) bool { _, err := sale.ParseEntryID(m.ID); return err != nil })
		if _, isError := answer.(error); isError {
			good = false
		}
		letters, err := s.DeadList(t.Context(), p, sale.EntryID{}, 100)
		only(t, "dead letters", err, good)
		if err == nil && len(letters) != len(all) {
			t.Errorf("of %d letters %d are shown", len(all), len(letters))
		}
		for i, l := range letters {
			if of, ok := all[i].Values["cause"].(string); ok && l.Cause != of || len(l.Payload) > len(all[i].Values) {
				t.Errorf("%v is shown as %+v", all[i], l)
			}
		}
	}, []any{[]any{"1700000000001-0", letter}}, []any{[]any{"1700000000001-0", []any{"attempts", "many", "entry", "x"}}, []any{"1700000000002-0", letter}})
}

// FuzzAnnouncement: whatever is heard, it is understood as it was meant, or refused.
func FuzzAnnouncement(f *testing.F) {
	whole := "1700000000001 " + string(announcement(Changes{Seq: 7, Drain: 5000, Sales: []int64{1, 1 << 40}, Receipts: []Changed{{fuzzID, 9, "held 4 5"}, {fuzzID, 0, ""}}}))
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(whole + "more")
	f.Add("")
	f.Add("1 ")
	f.Add("x " + whole)
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := parseAnnouncement(raw)
		if err != nil {
			if !errors.Is(err, ErrBroken) {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		again, err := parseAnnouncement(strconv.FormatInt(int64(c.At), 10) + " " + string(announcement(c)))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%q is %+v, and then %+v, %v", raw, c, again, err)
		}
	})
}
