package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// pingpong measures ns per round trip of a token between two goroutines.
func pingpong(p params) result {
	ping := make(chan uint64)
	pong := make(chan uint64)
	go func() {
		for token := range ping {
			pong <- token
		}
	}()
	start := time.Now()
	for i := 0; i < p.N; i++ {
		ping <- uint64(i)
		<-pong
	}
	ns := float64(time.Since(start).Nanoseconds())
	close(ping)
	return result{"nsPerRoundTrip": ns / float64(p.N)}
}

func atLeastOne(count int) int {
	if count < 1 {
		return 1
	}
	return count
}

// channel measures ns per item from some senders to some receivers through one channel.
func channel(p params) result {
	each := atLeastOne(p.N / p.Senders)
	items := make(chan uint64, p.Capacity)
	var sent, received sync.WaitGroup
	sent.Add(p.Senders)
	received.Add(p.Receivers)
	start := time.Now()
	for s := 0; s < p.Senders; s++ {
		go func() {
			for i := 1; i <= each; i++ {
				items <- uint64(i)
			}
			sent.Done()
		}()
	}
	for r := 0; r < p.Receivers; r++ {
		go func() {
			sum := uint64(0)
			for item := range items {
				sum += item
			}
			atomic.AddUint64(&sink, sum)
			received.Done()
		}()
	}
	sent.Wait()
	close(items)
	received.Wait()
	ns := float64(time.Since(start).Nanoseconds())
	return result{"nsPerItem": ns / float64(each*p.Senders)}
}
