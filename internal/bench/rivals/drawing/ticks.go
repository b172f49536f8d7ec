package drawing

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
)

// steps are the ticks of a linear axis: five to ten round numbers.
func steps(least, most float64) (ticks []plot.Tick) {
	step := math.Pow(10, math.Floor(math.Log10((most-least)/5)))
	for _, times := range []float64{5, 2} {
		if (most-least)/(times*step) >= 5 {
			step *= times
			break
		}
	}
	for n := math.Ceil(least / step); n*step <= most; n++ {
		ticks = append(ticks, plot.Tick{Value: n * step, Label: number(n * step)})
	}
	return ticks
}

// decades are the ticks of a logarithmic axis: powers of ten, and twice and five times
// them where there are few.
func (s *scale) decades(least, most float64) (ticks []plot.Tick) {
	few := math.Log10(most/least) < 2.5
	for exponent := math.Floor(math.Log10(least)); exponent <= math.Ceil(math.Log10(most)); exponent++ {
		for digit := 1; digit <= 9; digit++ {
			value := float64(digit) * math.Pow(10, exponent)
			if value < least*0.999 || value > most*1.001 || s.zero && value < s.least*0.999 {
				continue
			}
			tick := plot.Tick{Value: value}
			if digit == 1 || few && (digit == 2 || digit == 5) {
				tick.Label = number(value)
			}
			ticks = append(ticks, tick)
		}
	}
	if s.zero {
		ticks = append(ticks, plot.Tick{Value: s.nothing(), Label: "0"})
	}
	return ticks
}

// number writes a value shortly: 0.5, 20, 3k, 1.5M.
func number(value float64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if value >= unit.of*0.9999995 {
			return strconv.FormatFloat(rounded(value/unit.of), 'f', -1, 64) + unit.name
		}
	}
	return strconv.FormatFloat(rounded(value), 'f', -1, 64)
}

// rounded keeps four digits: what a tick is off by since it was computed goes.
func rounded(value float64) float64 {
	short, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 4, 64), 64)
	if err != nil {
		panic(err) // it was just written
	}
	return short
}
