package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// selectAmong measures ns per select over 2 or 8 channels, each with a sender of its own, by one
// or more selecting goroutines that share the channels.
func selectAmong(p params) result {
	channels := make([]chan uint64, p.Cases)
	for c := range channels {
		items := make(chan uint64, p.Capacity)
		channels[c] = items
		go func() { // ends with the process
			for i := uint64(0); ; i++ {
				items <- i
			}
		}()
	}
	selectors := atLeastOne(p.Selectors)
	each := atLeastOne(p.N / selectors)
	body := selectOfTwo
	if p.Cases != 2 {
		body = selectOfEight
	}
	var done sync.WaitGroup
	done.Add(selectors)
	start := time.Now()
	for s := 0; s < selectors; s++ {
		go func() {
			atomic.AddUint64(&sink, body(channels, each))
			done.Done()
		}()
	}
	done.Wait()
	ns := float64(time.Since(start).Nanoseconds())
	return result{"nsPerSelect": ns / float64(each*selectors)}
}

func selectOfTwo(channels []chan uint64, times int) uint64 {
	sum := uint64(0)
	a, b := channels[0], channels[1]
	for i := 0; i < times; i++ {
		select {
		case item := <-a:
			sum += item
		case item := <-b:
			sum += item
		}
	}
	return sum
}

func selectOfEight(channels []chan uint64, times int) uint64 {
	sum := uint64(0)
	for i := 0; i < times; i++ {
		select {
		case item := <-channels[0]:
			sum += item
		case item := <-channels[1]:
			sum += item
		case item := <-channels[2]:
			sum += item
		case item := <-channels[3]:
			sum += item
		case item := <-channels[4]:
			sum += item
		case item := <-channels[5]:
			sum += item
		case item := <-channels[6]:
			sum += item
		case item := <-channels[7]:
			sum += item
		}
	}
	return sum
}
