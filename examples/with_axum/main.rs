//! In an axum application, which keeps its routes, its state and its `main`: only `/prices/{symbol}` is held.
//!
//! ```text
//! curl -N '127.0.0.1:8080/prices/gold?transport=stream'     # stays open: a price is a line of JSON
//! curl -d 2431.5 '127.0.0.1:8080/prices?symbol=gold'        # an axum handler publishes
//! curl 127.0.0.1:8080/prices                                # and another one answers from its state
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use abeyance::{Hub, Message, Server, Suspend, extract, suspend};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

type Prices = Arc<Mutex<BTreeMap<String, f64>>>;

#[derive(Deserialize)]
struct Quote {
    symbol: String,
}

#[suspend(path = "/prices/{symbol}")]
async fn follow(extract::Path(symbol): extract::Path<String>) -> Suspend {
    Suspend::new().join(symbol)
}

async fn quote(
    State(prices): State<Prices>,
    hub: Hub,
    Query(Quote { symbol }): Query<Quote>,
    text: String,
) -> Result<String, StatusCode> {
    let price: f64 = text.trim().parse().map_err(|_| StatusCode::BAD_REQUEST)?;
    let message = Message::json(&price).map_err(|_| StatusCode::BAD_REQUEST)?;
    let followers = hub.publish(&symbol, message);
    prices.lock().expect("no holder panics").insert(symbol, price);
    Ok(format!("{followers} follow\n"))
}

async fn list(State(prices): State<Prices>) -> Json<BTreeMap<String, f64>> {
    Json(prices.lock().expect("no holder panics").clone())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new().route("/prices", get(list).post(quote)).with_state(Prices::default());
    let server = Server::new().mount(follow).fallback(app).bind("127.0.0.1:8080").await?;
    println!("listening on {}", server.local_addr());
    abeyance::shutdown_signal().await?;
    server.shutdown().await;
    Ok(())
}
