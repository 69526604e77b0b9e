// A round trip with MQTT.js, the library that browsers use. usage: browser.js URL
'use strict'
const mqtt = require('mqtt')

const [url] = process.argv.slice(2)
const sizes = [1, 200, 70000, 300000]

function roundTrip(protocolVersion) {
  return new Promise((resolve, reject) => {
    const topic = `browser/${process.pid}/${protocolVersion}`
    const client = mqtt.connect(url, { protocolVersion, reconnectPeriod: 0, connectTimeout: 20000 })
    let next = 0
    const send = () => client.publish(topic, Buffer.alloc(sizes[next], next + 1), { qos: 1 })
    client.on('error', reject)
    client.on('connect', () => client.subscribe(topic, { qos: 1 }, (error) => (error ? reject(error) : send())))
    client.on('message', (_topic, payload) => {
      if (!payload.equals(Buffer.alloc(sizes[next], next + 1))) reject(new Error(`${sizes[next]} bytes came back as others`))
      next += 1
      if (next < sizes.length) send()
      else client.end(false, {}, resolve)
    })
  })
}

const late = setTimeout(() => { console.error('not done in time'); process.exit(1) }, 40000)
roundTrip(4)
  .then(() => roundTrip(5))
  .then(() => { clearTimeout(late); console.log('passed') })
  .catch((error) => { console.error(String(error)); process.exit(1) })
