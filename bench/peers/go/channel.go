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

// channel measures ns per item from some senders to some receivers through one channel.
func channel(p params) result {
	each := p.N / p.Senders
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

// selectAmong measures ns per select over 2 or 8 channels, each with a sender of its own.
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
	sum := uint64(0)
	start := time.Now()
	if p.Cases == 2 {
		a, b := channels[0], channels[1]
		for i := 0; i < p.N; i++ {
			select {
			case item := <-a:
				sum += item
			case item := <-b:
				sum += item
			}
		}
	} else {
		for i := 0; i < p.N; i++ {
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
	}
	ns := float64(time.Since(start).Nanoseconds())
	atomic.AddUint64(&sink, sum)
	return result{"nsPerSelect": ns / float64(p.N)}
}
