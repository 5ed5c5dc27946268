package main

import (
	"fmt"
	"net"
	"os"
)

// Serves until it is killed: a goroutine per connection, as everybody writes it. Prints its port.
func echo(params) result {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer conn.Close()
			buffer := make([]byte, 4096)
			for {
				count, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if _, err := conn.Write(buffer[:count]); err != nil {
					return
				}
			}
		}()
	}
}
