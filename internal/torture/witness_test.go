package torture

import (
	"reflect"
	"testing"
	"time"
)

// told is what a witness of one shard, the nodes 0 and 1, heard at a time in ms.
type told struct {
	at   int64
	node int
	look
}

func master(epoch int, line string, offset int64) look {
	return look{master: true, epoch: epoch, line: line, offset: offset}
}

func replica(line string, offset int64) look { return look{linked: true, line: line, offset: offset} }

// TestWitness: what it makes of what the nodes tell.
func TestWitness(t *testing.T) {
	dead := look{dead: true}
	cut := look{line: "a", offset: 70}
	anew := look{linked: true, anew: true, line: "a"}
	for name, test := range map[string]struct {
		told []told
		want []Change
		now  int // the master in the end
	}{
		"nothing": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}}, nil, 0},
		"a master dies": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {30, 0, master(1, "a", 90)}, {40, 1, replica("a", 80)}, {50, 0, dead}, {60, 1, master(2, "b", 80)}, {70, 0, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: 50}}, 1},
		"it dies, comes back and is replaced": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {30, 0, dead}, {40, 0, master(1, "x", 0)}, {60, 1, master(2, "b", 80)}, {70, 0, replica("b", 80)}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: 70}}, 1},
		"the replica had everything but the last": {[]told{{10, 0, master(1, "a", 70)}, {30, 0, master(1, "a", 90)}, {40, 1, replica("a", 90)}, {60, 1, master(2, "b", 90)}, {70, 0, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 30, UntilMS: 70}}, 1},
		"it was not heard of since": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {30, 0, master(1, "a", 90)}, {40, 1, cut}, {60, 1, master(2, "b", 70)}, {70, 0, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: 70}}, 1},
		"it was being given everything": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {40, 1, anew}, {60, 1, master(2, "b", 70)}, {70, 0, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 0, UntilMS: 70}}, 1},
		"another line of offsets": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("z", 700)}, {60, 1, master(2, "b", 700)}, {70, 0, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 0, UntilMS: 70}}, 1},
		"the old one believes": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {60, 1, master(2, "b", 70)}, {70, 0, master(1, "a", 99)}, {80, 0, replica("b", 70)}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: 80}}, 1},
		"it believes still": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {60, 1, master(2, "b", 70)}, {70, 0, master(1, "a", 99)}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: never}}, 1},
		"and back": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {60, 1, master(2, "b", 70)}, {80, 0, replica("b", 70)}, {90, 1, master(2, "b", 75)}, {95, 0, replica("b", 75)}, {100, 0, master(3, "c", 75)}, {110, 1, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: 80}, {Partitions: []int{0}, FromMS: 90, UntilMS: 110}}, 0},
		"back at once": {[]told{{10, 0, master(1, "a", 70)}, {20, 1, replica("a", 70)}, {60, 1, master(2, "b", 70)}, {100, 0, master(3, "c", 75)}, {110, 1, dead}},
			[]Change{{Partitions: []int{0}, FromMS: 10, UntilMS: 110}, {Partitions: []int{0}, FromMS: 0, UntilMS: 110}}, 0},
	} {
		w := newWitness(1, [][]int{{0}})
		for _, one := range test.told {
			one.asked = time.UnixMilli(one.at)
			one.answered = one.asked
			w.hear(one.node, one.look)
		}
		if found := w.found(); !reflect.DeepEqual(found, test.want) {
			t.Errorf("%s: %+v, want %+v", name, found, test.want)
		}
		if now, _ := w.roles(0); now != test.now {
			t.Errorf("%s: the master is %d", name, now)
		}
	}
}

// TestWitnessOfMoves: whose slot has moved since its new home's replica was heard of last
// may lose everything with it; who went has nothing to fear there any more.
func TestWitnessOfMoves(t *testing.T) {
	at := func(n int64, l look) look { l.asked, l.answered = time.UnixMilli(n), time.UnixMilli(n); return l }
	fails := func(meanwhile func(w *witness)) []Change {
		w := newWitness(2, [][]int{{0}, {1}})
		w.hear(0, at(10, master(1, "a", 70)))
		w.hear(2, at(20, replica("a", 70)))
		meanwhile(w)
		w.hear(2, at(60, master(3, "c", 70)))
		return w.found()
	}
	made, bare := Change{Partitions: []int{0}, FromMS: 10, UntilMS: never}, Change{Partitions: []int{1}, UntilMS: never}
	for name, test := range map[string]struct {
		meanwhile func(w *witness)
		want      []Change
	}{
		"none":           {func(*witness) {}, []Change{made}},
		"under way":      {func(w *witness) { w.move(1, 0) }, []Change{made, bare}},
		"just moved":     {func(w *witness) { w.move(1, 0); w.moved(1, 0) }, []Change{made, bare}},
		"gone elsewhere": {func(w *witness) { w.move(0, 1); w.moved(0, 1) }, nil},
	} {
		if found := fails(test.meanwhile); !reflect.DeepEqual(found, test.want) {
			t.Errorf("%s: %+v, want %+v", name, found, test.want)
		}
	}
	w := newWitness(1, [][]int{{0}})
	w.moved(0, 0)
	w.arrived[0] = time.UnixMilli(5)
	w.hear(0, at(10, master(1, "a", 70)))
	w.hear(1, at(20, replica("a", 70)))
	w.plan(0)
	w.hear(1, at(60, master(3, "c", 70)))
	if want := []Change{{Partitions: []int{0}, Planned: true, FromMS: 10, UntilMS: never}}; !reflect.DeepEqual(w.found(), want) {
		t.Errorf("moved long ago, planned: %+v", w.found())
	}
}
