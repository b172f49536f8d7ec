package plan

// program is a process on a host: so many of its threads compute at once, and what comes
// while all of them do stands in line, first come, first served. Redis has one.
type program struct {
	name    string
	host    *host
	threads int
	rouse   float64 // seconds that it computes more when it had nothing to do: poll, switch, poll again

	busy    int
	line    line[task]
	stopped bool // a fault: nobody begins anything

	// What queueing theory asks of it.
	computed float64 // seconds of a core
	begun    int64
	waited   float64 // seconds in line, of all who have begun
	stood    float64 // line × seconds
	looked   float64
}

type task struct {
	seconds, came float64
	done          func()
}

func newProgram(name string, on *host, threads int) *program {
	return &program{name: name, host: on, threads: threads}
}

// do calls done when so many seconds have been computed, after all that came before had
// its thread.
func (p *program) do(seconds float64, done func()) {
	p.look()
	p.line.add(task{seconds, p.host.clock.now, done})
	p.begin()
}

func (p *program) begin() {
	for !p.stopped && p.busy < p.threads && p.line.len() > 0 {
		p.look()
		next := p.line.next()
		if p.busy == 0 {
			next.seconds += p.rouse
		}
		p.busy++
		p.begun++
		p.waited += p.host.clock.now - next.came
		p.computed += next.seconds
		p.host.compute(next.seconds, func() {
			p.busy--
			next.done()
			p.begin()
		})
	}
}

// look brings the account of the line up to now.
func (p *program) look() {
	now := p.host.clock.now
	p.stood += float64(p.line.len()) * (now - p.looked)
	p.looked = now
}

// stop has it begin nothing more, resume go on.
func (p *program) stop() { p.stopped = true }

func (p *program) resume() {
	p.stopped = false
	p.begin()
}

// line is first come, first served.
type line[T any] struct {
	all  []T
	head int
}

func (l *line[T]) len() int  { return len(l.all) - l.head }
func (l *line[T]) add(one T) { l.all = append(l.all, one) }

func (l *line[T]) next() (first T) {
	var none T
	first, l.all[l.head] = l.all[l.head], none
	if l.head++; l.head > 64 && l.head > len(l.all)/2 {
		l.all, l.head = append(l.all[:0], l.all[l.head:]...), 0
	}
	return first
}

// take is next of up to n.
func (l *line[T]) take(n int) []T {
	some := make([]T, 0, min(n, l.len()))
	for len(some) < n && l.len() > 0 {
		some = append(some, l.next())
	}
	return some
}
